-- Where a live read model was given events late: those of a stream that was parked come in behind the
-- checkpoint, where nobody who follows by position looks again. A follower remembers the last edition
-- that it knows of and goes back to the first position of those after it.

create table rewinds (
    projection text not null,
    -- grows in the order in which rows are committed: the live version is locked while one is written
    edition bigint not null generated always as identity,
    stream text not null,
    -- the first event that came late
    position bigint not null,
    recorded_at timestamptz not null default now(),
    constraint an_edition_is_of_one_stream primary key (projection, edition)
);

create view read.rewinds as select projection, edition, stream, position from rewinds;

grant select on read.rewinds to counterfoil_reader;
