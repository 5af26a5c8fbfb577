-- The processes of this installation, as each says of itself. For people: nothing is decided by it. Who may
-- write what is in the tables of those who share work.
create table processes (
    -- As in the leases that it holds.
    name text primary key,
    roles text[] not null,
    listen text not null,
    version text not null,
    since timestamptz not null default clock_timestamp(),
    -- By the clock of this database. A process that has not been seen for a while is gone, or cut off.
    seen_at timestamptz not null
);

grant select, insert, update, delete on processes to counterfoil_service;
