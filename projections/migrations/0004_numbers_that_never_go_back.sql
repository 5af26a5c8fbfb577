-- What is drawn here is never drawn again, also when the version that it was drawn for is dropped: a
-- process that was paused with a lease on a version that is gone must not find itself in the next one.

-- The last number that was given to a version of each read model.
create table version_numbers (
    projection text primary key,
    last int not null
);

-- Fencing tokens, of all versions of all read models. Releases before this one count a version's tokens
-- on from its last; it goes on behind all of those.
create sequence fencing_tokens as bigint;
select setval('fencing_tokens', coalesce((select max(token) from versions), 0) + 1);
