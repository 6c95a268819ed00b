-- Gives the parked events of a name to another. ?1 name, ?2 new name.
UPDATE annals_parked_events SET name = ?2 WHERE name = ?1
