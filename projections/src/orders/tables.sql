-- Orders with their lines. What the payment's stream says is kept in the table `payments` beside these.

create table orders (
    order_id uuid primary key,
    customer_id uuid,
    status text not null,
    -- why it was rejected or cancelled, as the event says it
    reason jsonb,
    currency text collate "C" not null,
    total bigint not null,
    units bigint not null,
    origin text not null,
    -- where it was imported from: its number there, and the country that it went to
    reference text,
    country text,
    revision bigint not null,
    placed_at timestamptz not null,
    updated_at timestamptz not null,
    constraint an_order_is_one_of_these check (
        status in ('placed', 'confirmed', 'rejected', 'cancelled', 'dispatched', 'completed')
    ),
    constraint an_order_is_live_or_imported check (origin in ('live', 'imported'))
);

create table order_lines (
    order_id uuid not null,
    line int not null,
    sku text collate "C" not null,
    quantity bigint not null,
    unit_price_thousandths bigint not null,
    amount bigint not null,
    constraint a_line_has_its_place primary key (order_id, line)
);
