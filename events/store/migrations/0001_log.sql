-- The log. Everything in it is written once, by one function (see the next migration), and read by
-- everybody else. It is insert-only but for one row: the head. The schema is made by the migrator,
-- which keeps its own table there.

-- Streams get a small number, so that the indexes of events stay narrow.
create table event_store.streams (
    stream_no bigint generated always as identity,
    name text not null,
    -- The part of the name before the first hyphen.
    category text not null,
    constraint streams_have_a_number primary key (stream_no),
    constraint stream_names_are_unique unique (name),
    constraint streams_begin_with_their_category check (starts_with(name, category || '-'))
);

create table event_store.events (
    -- Dense from 1, in the order of commits: no reader ever sees position n + 1 before n.
    position bigint not null,
    stream_no bigint not null,
    -- Dense from 0 within its stream.
    revision bigint not null,
    event_id uuid not null,
    name text not null,
    version smallint not null,
    -- JSON as it was given, byte for byte: proofs are made over these bytes.
    payload bytea not null,
    -- The envelope. `json`, not `jsonb`: kept as it was written, and open to an auditor's SQL all the same.
    metadata json not null,
    recorded_at timestamptz not null,
    constraint positions_are_taken_once primary key (position),
    constraint revisions_are_taken_once unique (stream_no, revision),
    constraint event_ids_are_written_once unique (event_id),
    constraint positions_count_from_one check (position >= 1),
    constraint revisions_count_from_zero check (revision >= 0),
    constraint versions_count_from_one check (version >= 1)
);

-- The position of the last event. Whoever appends locks this row first and holds it until the commit:
-- that is what puts positions into the order of commits.
create table event_store.head (
    only_row boolean not null default true,
    position bigint not null,
    constraint there_is_one_head primary key (only_row),
    constraint there_is_only_one_head check (only_row)
) with (fillfactor = 10);

insert into event_store.head (position) values (0);

-- Not even the owner changes history by mistake. The service's role has no right to try.
create function event_store.refuse_change() returns trigger
language plpgsql as $$
begin
    raise exception 'history is not changed: % on %.% is refused', tg_op, tg_table_schema, tg_table_name
        using errcode = 'integrity_constraint_violation';
end
$$;

create trigger events_are_never_changed
    before update or delete or truncate on event_store.events
    for each statement execute function event_store.refuse_change();

create trigger streams_are_never_changed
    before update or delete or truncate on event_store.streams
    for each statement execute function event_store.refuse_change();

create trigger the_head_is_never_removed
    before delete or truncate on event_store.head
    for each statement execute function event_store.refuse_change();
