-- Several processes share the work out among themselves by partitions of the keys. All of it still follows
-- from the log: the tables of this schema can be emptied, all of them and while no coordinator runs, and are
-- filled again.
--
-- A release that knows only one coordinator may run beside one that knows partitions. The row of table lease is
-- then held by all that know partitions together, so that the older one is refused and stands by, as it does
-- beside a fellow of its own; when none of them is left, it goes on from the row of table checkpoint, which
-- stays where it was. Both rows go in a later release.

create table partition (
    number smallint primary key constraint partition_is_not_negative check (number >= 0),
    -- The process that works on it; none when it was given back, or never taken.
    holder text,
    -- Grows with every change of holder. Whoever shows an older number is refused.
    fence bigint not null default 0,
    -- By the clock of this database.
    runs_out_at timestamptz,
    -- Everything up to here is completely handled. Before a partition is saved for the first time, what the one
    -- coordinator of all had handled is handled.
    checkpoint bigint constraint partition_checkpoint_is_not_negative check (checkpoint >= 0),
    constraint partition_is_held_for_a_time check ((holder is null) = (runs_out_at is null))
);

-- Outlives the rows above, so that a number is never given twice.
create sequence fence;

-- The processes that want to work, each with a right to its share.
create table member (
    holder text primary key,
    -- By the clock of this database. Who was not heard of until then counts no more.
    seen_until timestamptz not null
);

grant select, insert, update, delete on partition, member to counterfoil_service;
grant usage on sequence fence to counterfoil_service;
