-- Reads what stands where an earlier attempt of an append would have written, and one event more.
-- $1 aggregate id, $2 its first sequence, $3 the sequence after its last.
SELECT aggregate_id, sequence, position, command_id, checksum, recorded_at, schema_version, aggregate_type, event_type,
       payload, metadata
FROM annals_events
WHERE aggregate_id = $1 AND sequence BETWEEN $2 AND $3
ORDER BY sequence
