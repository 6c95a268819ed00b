-- Reads events of an aggregate from first to last. $1 aggregate id, $2 from sequence, $3 to sequence,
-- $4 event types or null, $5 limit or null.
SELECT aggregate_id, sequence, position, command_id, checksum, recorded_at, schema_version, aggregate_type, event_type,
       payload, metadata
FROM annals_events
WHERE aggregate_id = $1 AND sequence BETWEEN $2 AND $3
  AND ($4::text[] IS NULL OR event_type = ANY ($4::text[]))
ORDER BY sequence
LIMIT $5::bigint
