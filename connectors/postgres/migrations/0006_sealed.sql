-- The bytes of a rejection are sealed with a key of the day (days since 1970) they were written on; null: kept in clear
-- by an earlier version.

alter table muster.rejection add column sealed_day int;
