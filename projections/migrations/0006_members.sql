-- The processes that want to keep read models up to date, each with what it is able to keep: a row for each
-- read model that it knows. Each has a right to its share of them.

create table members (
    holder text not null,
    projection text not null,
    -- The definition that this process knows. It keeps a live version of the same one, and replaces one of a
    -- lower one.
    definition int not null,
    -- By the clock of this database. Who was not heard of until then counts no more, nor does one whose
    -- session is gone.
    seen_until timestamptz not null,
    session_pid int not null,
    session_start timestamptz not null,
    -- The event that this process cannot read because it is of a newer release, if it has met one: it leaves
    -- the read model to who can.
    stands_back_at bigint,
    stands_back_for text,
    constraint a_member_knows_a_read_model_once primary key (holder, projection)
);
