-- Reads the places of events in the order of positions, for the check of the whole log.
-- $1 after position, $2 after aggregate id, $3 after sequence, $4 limit.
-- By more than the position, so that one that is there twice is seen twice.
SELECT position, aggregate_id, sequence
FROM annals_events
WHERE (position, aggregate_id, sequence) > ($1::bigint, $2::uuid, $3::bigint)
ORDER BY position, aggregate_id, sequence
LIMIT $4::bigint
