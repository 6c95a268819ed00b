-- Parks an event, unless it is parked. ?1 name, ?2 aggregate id, ?3 sequence, ?4 position, ?5 error, ?6 attempts,
-- ?7 now (µs).
-- Differs because PostgreSQL parks in the statement that moves the checkpoint: here a statement costs no round trip.
INSERT INTO annals_parked_events (name, aggregate_id, sequence, position, error, attempts, parked_at)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
ON CONFLICT DO NOTHING
