-- What streams with long histories come to, so that a process that starts does not read them whole. All of it
-- follows from the log and can be dropped at any time: it is made again as commands come.
create table snapshots.states (
    stream text collate "C" not null,
    -- Of the rules that folded it and the form in which it is written; each release uses those of its own.
    version int not null,
    -- The last event that is in it, and where that is in the log.
    revision bigint not null,
    position bigint not null,
    event_id uuid not null,
    state json not null,
    stored_at timestamptz not null default now(),
    constraint a_stream_has_one_state_by_each_version primary key (stream, version),
    constraint revisions_count_from_zero check (revision >= 0)
);

grant usage on schema snapshots to counterfoil_service;
grant select, insert, update on snapshots.states to counterfoil_service;
