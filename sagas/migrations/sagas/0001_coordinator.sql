-- What the saga coordinator keeps beside the log, so that a restart need not read it from the beginning.
-- All of it follows from the log: the tables can be emptied while no coordinator runs, and are filled again.

create table lease (
    name text primary key,
    -- The process that works.
    holder text not null,
    -- Grows with every change of holder. Whoever shows an older number is refused.
    fence bigint not null,
    -- By the clock of this database.
    runs_out_at timestamptz not null
);

create table checkpoint (
    name text primary key,
    -- Every event up to here is completely handled.
    position bigint not null constraint checkpoint_is_not_negative check (position >= 0)
);

-- What is in flight, and when it is to be looked at again.
create table wake (
    kind text not null constraint wake_has_a_known_kind check (kind in ('checkout', 'payment', 'webhook')),
    id text not null,
    due_at timestamptz not null,
    waiting text not null,
    primary key (kind, id)
);

grant usage on schema sagas to counterfoil_service;
grant select, insert, update, delete on lease, checkpoint, wake to counterfoil_service;
