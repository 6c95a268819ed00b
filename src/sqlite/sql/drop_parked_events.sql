-- Removes the parked events of a name behind a position. ?1 name, ?2 position.
DELETE FROM annals_parked_events WHERE name = ?1 AND position > ?2
