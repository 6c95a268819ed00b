-- Reads events of the log in the order of their positions. ?1 after position, ?2 up to position,
-- ?3 JSON array of aggregate types or null, ?4 JSON array of event types or null, ?5 limit (-1: none).
SELECT position, aggregate_id, sequence, aggregate_type, event_type, schema_version,
       command_id, payload, metadata, checksum, recorded_at
FROM annals_events
WHERE position > ?1 AND position <= ?2
  AND (?3 IS NULL OR aggregate_type IN (SELECT value FROM json_each(?3)))
  AND (?4 IS NULL OR event_type IN (SELECT value FROM json_each(?4)))
ORDER BY position
LIMIT ?5
