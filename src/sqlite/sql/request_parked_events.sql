-- Asks for parked events to be told again. ?1 name, ?2 now (µs), ?3 aggregate id or null for all, ?4 last sequence.
-- Who asks again asks later, whatever the clocks say: what is under way then is not taken for the answer.
UPDATE annals_parked_events
SET replay_requested_at = max(?2, coalesce(replay_requested_at + 1, ?2)), replays_begun = 0
WHERE name = ?1 AND (?3 IS NULL OR (aggregate_id = ?3 AND sequence <= ?4))
