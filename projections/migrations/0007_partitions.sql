-- A version of a read model may be split into partitions by stream, each with a lease and a checkpoint of
-- its own. One that is not keeps its lease in its row of `versions` and its checkpoint in shard 0, as ever.
--
-- A release before this one knows whole versions only and must not write one that is split. So a split
-- version is written down with its definition plus 1,000,000. The release before takes it for the work of a
-- newer one and leaves it alone: it neither keeps it, nor replaces it, nor goes back to it. What it would do
-- at an operator's word (a retry, a promotion) fails at a checkpoint in shard 0, which a split version has
-- not. It reads it as ever: the view of the position answers with the slowest partition's.

-- How many it has once it is read; until then it has one writer.
alter table versions add column partitions smallint not null default 1;
alter table versions add constraint a_version_has_1_to_16_partitions check (partitions between 1 and 16);

-- The leases on the partitions of a split version, as those on whole ones in `versions`.
create table partitions (
    projection text not null,
    version int not null,
    -- counts from 1; its checkpoint is in shard -1, -2 and so on
    partition smallint not null,
    token bigint not null,
    holder text,
    session_pid int,
    session_start timestamptz,
    lease_until timestamptz,
    constraint one_lease_a_partition primary key (projection, version, partition),
    -- a release that knows nothing of partitions drops versions, too
    constraint a_partition_is_of_a_version foreign key (projection, version) references versions
        on delete cascade
);

-- Whether a member is of a release that can keep partitions. Those that cannot do not say so.
alter table members add column keeps_partitions boolean not null default false;
