-- A version that is built only to be compared with the live one, and dropped afterwards.

alter table versions drop constraint a_version_is_live_building_or_kept;
alter table versions add constraint a_version_is_one_of_these
    check (state in ('live', 'building', 'previous', 'scratch'));
