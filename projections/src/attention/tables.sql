-- What a person has to look at. An item is raised by one event and resolved by another of its stream.

create table items (
    stream text collate "C" not null,
    item text collate "C" not null,
    kind text not null,
    -- the order that it is about, where it is about one
    order_id uuid,
    code text not null,
    detail jsonb not null,
    raised_position bigint not null,
    raised_at timestamptz not null,
    resolved_at timestamptz,
    constraint an_item_is_raised_once primary key (stream, item)
);
