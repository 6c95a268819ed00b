-- Reads events in the order of aggregates and sequences, for the check of the whole log.
-- $1 after aggregate id, $2 after sequence, $3 limit.
SELECT aggregate_id, sequence, position, command_id, checksum, recorded_at, schema_version, aggregate_type, event_type,
       payload, metadata
FROM annals_events
WHERE (aggregate_id, sequence) > ($1::uuid, $2::bigint)
ORDER BY aggregate_id, sequence
LIMIT $3::bigint
