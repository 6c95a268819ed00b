-- Asks for parked events to be told again. $1 name, $2 now, $3 aggregate id or null for all, $4 last sequence.
-- Who asks again asks later, whatever the clocks say: what is under way then is not taken for the answer.
UPDATE annals_parked_events
SET replay_requested_at = greatest($2::timestamptz, replay_requested_at + interval '1 microsecond'), replays_begun = 0
WHERE name = $1 AND ($3::uuid IS NULL OR (aggregate_id = $3::uuid AND sequence <= $4::bigint))
