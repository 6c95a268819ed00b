-- Counts the parked events of a name. $1 name.
SELECT count(*) FROM annals_parked_events WHERE name = $1
