-- Which versions of each read model exist, who may write them, and which streams are kept back.
-- The rows of a read model and its checkpoint live in the version's own schema (orders_v1, orders_v2
-- and so on), so that a version can be built, read and dropped as one thing.

create table versions (
    projection text not null,
    version int not null,
    -- which shape of tables and rules it was built by; see `Definition::version` in the code
    definition int not null,
    state text not null,
    created_at timestamptz not null default now(),
    -- The lease: only the session that took it last may write. The token grows with every taking and
    -- is checked in the transaction that writes the rows, so that a twin that was paused is refused.
    token bigint not null default 0,
    holder text,
    session_pid int,
    session_start timestamptz,
    lease_until timestamptz,
    constraint one_row_a_version primary key (projection, version),
    constraint a_version_is_live_building_or_kept check (state in ('live', 'building', 'previous'))
);

create unique index one_version_is_read on versions (projection) where state = 'live';
create unique index one_version_is_built on versions (projection) where state = 'building';

-- A stream with an event that cannot be read or applied is kept back from there on, until somebody
-- retries it. The events themselves stay where they are: in the event store.
create table parked_streams (
    projection text not null,
    version int not null,
    stream text not null,
    -- the event that could not be applied
    revision bigint not null,
    position bigint not null,
    event_id uuid not null,
    event_name text not null,
    reason text not null,
    -- how many events of the stream are kept back, that one included
    held bigint not null,
    parked_at timestamptz not null default now(),
    constraint a_stream_is_parked_once primary key (projection, version, stream)
);
