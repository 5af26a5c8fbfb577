-- Parked streams are the one thing of the registry that readers see: they belong on the list of what
-- a person has to look at.

create view read.parked_streams as
    select parked.projection, parked.stream, parked.revision, parked.position, parked.event_name,
        parked.held, parked.parked_at
    from parked_streams parked
    join versions using (projection, version)
    where versions.state = 'live';

grant select on read.parked_streams to counterfoil_reader;
