-- What is offered, and at which prices.

create table products (
    sku text collate "C" primary key,
    title text not null,
    status text not null,
    revision bigint not null,
    listed_at timestamptz not null,
    updated_at timestamptz not null,
    constraint a_product_is_listed_or_withdrawn check (status in ('listed', 'withdrawn'))
);

-- Prices are finer than money: thousandths of a minor unit.
create table prices (
    sku text collate "C" not null,
    currency text collate "C" not null,
    thousandths bigint not null,
    constraint one_price_per_currency primary key (sku, currency)
);
