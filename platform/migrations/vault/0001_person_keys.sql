-- The keys that open sealed personal data. They are in no event and in no read model: deleting a row
-- here erases the person from the whole history, and every position and proof stays as it was.
create table vault.person_key (
    person uuid primary key,
    key bytea not null,
    created_at timestamptz not null default now(),
    constraint a_key_has_32_bytes check (octet_length(key) = 32)
);

-- A key is made once and erased once; nobody changes one.
grant usage on schema vault to counterfoil_service;
grant select, insert, delete on vault.person_key to counterfoil_service;
