-- What happened to orders, one row an event, for those who follow an order live.

create table changes (
    position bigint primary key,
    order_id uuid not null,
    name text not null,
    -- the order's status afterwards; absent where the event is about its payment
    status text,
    data jsonb not null,
    occurred_at timestamptz not null
);
