-- What was sold, called off and given back, by the day on which it happened and by currency.

create table sales_days (
    day date not null,
    currency text collate "C" not null,
    orders bigint not null default 0,
    units bigint not null default 0,
    amount bigint not null default 0,
    cancelled_orders bigint not null default 0,
    cancelled_units bigint not null default 0,
    cancelled_amount bigint not null default 0,
    refunds bigint not null default 0,
    refunded_amount bigint not null default 0,
    credits bigint not null default 0,
    credited_amount bigint not null default 0,
    adjustments bigint not null default 0,
    adjusted_amount bigint not null default 0,
    constraint one_row_a_day_and_currency primary key (day, currency)
);

-- What each order is of: a confirmation names its total, a rejection or cancellation nothing.
create table sold_orders (
    order_id uuid primary key,
    currency text collate "C" not null,
    units bigint not null,
    amount bigint not null,
    confirmed boolean not null default false
);
