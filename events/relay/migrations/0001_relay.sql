-- How far the log has been handed on to NATS, and which process does it. Everything else that the relay knows
-- it reads from the log.

create table progress (
    name text primary key,
    -- JetStream has acknowledged every event up to here.
    checkpoint bigint not null default 0 constraint checkpoint_is_not_negative check (checkpoint >= 0),
    -- The process that publishes; null when there was none yet.
    holder text,
    -- Grows with every change of holder, and when an operator moves the checkpoint. Whoever shows an older
    -- number is refused.
    fence bigint not null default 0,
    -- By the clock of this database.
    runs_out_at timestamptz not null default '-infinity'
);

grant usage on schema relay to counterfoil_service;
grant select, insert, update on progress to counterfoil_service;
