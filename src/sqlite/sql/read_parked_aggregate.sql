-- Reads the parked events of one aggregate, in their order. ?1 name, ?2 after position, ?3 limit, ?4 aggregate id.
-- By sequence, which is the order of their positions as well and has an index.
SELECT name, position, aggregate_id, sequence, error, attempts, parked_at, replay_requested_at
FROM annals_parked_events
WHERE name = ?1 AND aggregate_id = ?4 AND position > ?2
ORDER BY sequence
LIMIT +?3
