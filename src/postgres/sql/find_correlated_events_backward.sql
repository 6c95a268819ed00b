-- Finds events of one correlation from the last position to the first. $1 after position, $2 up to position, $3 limit,
-- $4 aggregate types or null, $5 event types or null, $6 recorded from or null, $7 recorded before or null,
-- $8 correlation id.
-- By exactly the expression that an index may be made of, see docs/OPERATING.md; without one, by position.
SELECT aggregate_id, sequence, position, command_id, checksum, recorded_at, schema_version, aggregate_type, event_type,
       payload, metadata
FROM annals_events
WHERE (metadata ->> 'correlation_id') = $8
  AND position > $1 AND position <= $2
  AND ($4::text[] IS NULL OR aggregate_type = ANY ($4::text[]))
  AND ($5::text[] IS NULL OR event_type = ANY ($5::text[]))
  AND ($6::timestamptz IS NULL OR recorded_at >= $6::timestamptz)
  AND ($7::timestamptz IS NULL OR recorded_at < $7::timestamptz)
ORDER BY position DESC
LIMIT $3::bigint
