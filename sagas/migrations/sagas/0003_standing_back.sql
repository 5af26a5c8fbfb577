-- A process that met an event of a newer release cannot go on with whom it concerns. While there are processes
-- that have met none, it has no share.
alter table member add column stands_back boolean not null default false;
