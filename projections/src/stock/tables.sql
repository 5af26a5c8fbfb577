-- Units per SKU by what became of them, and the holds that are alive.

create table stock (
    sku text collate "C" primary key,
    received bigint not null default 0,
    adjusted bigint not null default 0,
    -- held for orders that are not paid yet; held for orders that are; gone
    reserved bigint not null default 0,
    committed bigint not null default 0,
    dispatched bigint not null default 0,
    available bigint not null generated always as (
        received + adjusted - reserved - committed - dispatched
    ) stored,
    revision bigint not null,
    updated_at timestamptz not null
);

create table holds (
    sku text collate "C" not null,
    reservation_id uuid not null,
    quantity bigint not null,
    committed boolean not null,
    expires_at timestamptz not null,
    constraint a_reservation_holds_a_sku_once primary key (sku, reservation_id)
);
