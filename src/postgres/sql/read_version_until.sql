-- Reads the version of an aggregate as of a time: the sequence before its first event that was recorded later, or
-- nothing where there is none. $1 aggregate id, $2 time.
SELECT sequence - 1 AS version
FROM annals_events
WHERE aggregate_id = $1 AND recorded_at > $2
ORDER BY sequence
LIMIT 1
