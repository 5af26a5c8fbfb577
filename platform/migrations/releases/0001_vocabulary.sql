-- What some release that has run here is able to read. Each release writes its own down before it writes
-- anything else, so that whoever meets something that it cannot read knows whether it is of a newer release, or
-- of nobody.
create table vocabulary (
    name text not null,
    version int not null,
    since timestamptz not null default now(),
    constraint a_word_is_learned_once primary key (name, version)
);

grant usage on schema releases to counterfoil_service, counterfoil_projector;
grant select, insert on vocabulary to counterfoil_service;
grant select on vocabulary to counterfoil_projector;
