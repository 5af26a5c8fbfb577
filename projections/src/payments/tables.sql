-- What was asked of the provider for each order, and what came of it, in minor units.

create table payments (
    payment_id uuid primary key,
    order_id uuid not null,
    currency text collate "C" not null,
    requested bigint not null,
    authorized bigint not null default 0,
    captured bigint not null default 0,
    refunded bigint not null default 0,
    -- the last that is known of the authorization
    authorization_status text not null default 'requested',
    void_requested boolean not null default false,
    decline_code text,
    provider_reference text,
    revision bigint not null,
    requested_at timestamptz not null,
    updated_at timestamptz not null,
    -- for display: what the amounts and the authorization come to
    status text not null generated always as (
        case
            when captured > 0 and refunded >= captured then 'refunded'
            when refunded > 0 then 'partially_refunded'
            when captured > 0 and captured >= authorized then 'captured'
            when captured > 0 then 'partially_captured'
            when void_requested and authorization_status in ('requested', 'unknown', 'authorized') then 'voiding'
            else authorization_status
        end
    ) stored,
    constraint an_authorization_is_of_these check (
        authorization_status in ('requested', 'unknown', 'authorized', 'declined', 'voided')
    )
);
