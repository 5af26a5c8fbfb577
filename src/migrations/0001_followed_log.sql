-- Which log the read models, the coordinator's checkpoint and the rest of this database follow. The log may
-- be in another engine; what is kept here is of no use beside another one.
create table followed_log (
    only_one boolean primary key default true constraint a_database_follows_one_log check (only_one),
    -- The id of the log's first event: no other log begins with it.
    first_event_id uuid not null,
    since timestamptz not null default now()
);

grant usage on schema installation to counterfoil_service;
grant select, insert on followed_log to counterfoil_service;
