-- Reads events of the log in the order of their positions. $1 after position, $2 up to position,
-- $3 aggregate types or null, $4 event types or null, $5 limit or null.
SELECT aggregate_id, sequence, position, command_id, checksum, recorded_at, schema_version, aggregate_type, event_type,
       payload, metadata
FROM annals_events
WHERE position > $1 AND position <= $2
  AND ($3::text[] IS NULL OR aggregate_type = ANY ($3::text[]))
  AND ($4::text[] IS NULL OR event_type = ANY ($4::text[]))
ORDER BY position
LIMIT $5::bigint
