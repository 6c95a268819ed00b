-- Reads events of a selection in the order of their positions. $1 after position, $2 up to position, $3 limit,
-- $4 aggregate types or null, $5 event types or null.
-- Differs because SQLite has one statement for both, see read_log.sql.
SELECT aggregate_id, sequence, position, command_id, checksum, recorded_at, schema_version, aggregate_type, event_type,
       payload, metadata
FROM annals_events
WHERE position > $1 AND position <= $2
  AND ($4::text[] IS NULL OR aggregate_type = ANY ($4::text[]))
  AND ($5::text[] IS NULL OR event_type = ANY ($5::text[]))
ORDER BY position
LIMIT $3::bigint
