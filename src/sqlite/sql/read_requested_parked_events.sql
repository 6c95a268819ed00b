-- Reads parked events that are to be told again, in the order of their positions. ?1 name, ?2 after position, ?3 limit.
SELECT name, position, aggregate_id, sequence, error, attempts, parked_at, replay_requested_at
FROM annals_parked_events
WHERE name = ?1 AND position > ?2 AND replay_requested_at IS NOT NULL
ORDER BY position
LIMIT +?3
