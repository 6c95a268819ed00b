-- Finds events from the last position to the first. ?1 after position, ?2 up to position, ?3 limit,
-- ?4 JSON array of aggregate types or null, ?5 JSON array of event types or null, ?6 recorded from (µs) or null,
-- ?7 recorded before (µs) or null.
-- The columns come as one, see row.rs.
SELECT concat_ws(char(31), CAST(aggregate_id AS TEXT), CAST(command_id AS TEXT), position, sequence, schema_version,
                 checksum, recorded_at, aggregate_type, event_type, metadata, payload) AS event
FROM annals_events
WHERE position > ?1 AND position <= ?2
  AND (?4 IS NULL OR aggregate_type IN (SELECT value FROM json_each(?4)))
  AND (?5 IS NULL OR event_type IN (SELECT value FROM json_each(?5)))
  AND (?6 IS NULL OR recorded_at >= ?6)
  AND (?7 IS NULL OR recorded_at < ?7)
ORDER BY position DESC
LIMIT +?3
