-- The streams that are parked now: unlike a subquery, this sees what was committed while the statement that asks
-- waited for a lock.
create function parked_streams_of(of_projection text, of_version int) returns text[]
language plpgsql volatile as $$
begin
    return array(
        select stream from projections.parked_streams
        where projection = of_projection and version = of_version
    );
end
$$;
