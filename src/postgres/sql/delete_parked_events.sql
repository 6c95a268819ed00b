-- Removes the parked events of a name. $1 name.
DELETE FROM annals_parked_events WHERE name = $1
