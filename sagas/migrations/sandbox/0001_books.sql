-- The provider's own books. Nothing of ours reads these tables: we ask the provider over HTTP, as we
-- would ask a real one.

create table payments (
    payment_id uuid primary key,
    book jsonb not null,
    -- When the next pending operation is to be approved.
    settles_at timestamptz
);

create index payments_to_settle on payments (settles_at) where settles_at is not null;

-- Webhooks that were not acknowledged yet: at least once, also across a crash.
create table outbox (
    number bigint generated always as identity primary key,
    notice jsonb not null,
    attempts int not null default 0,
    due_at timestamptz not null
);

create index outbox_due on outbox (due_at);
