-- Reads events of the log in the order of their positions. ?1 after position,
-- ?2 JSON array of aggregate types or null, ?3 JSON array of event types or null, ?4 limit (-1: none).
-- Up to the end, not to a position read before: a damaged page could have made that too small.
-- The plus keeps SQLite from planning anew at every call, as it does where a LIMIT is a bare parameter.
-- The columns come as one, see row.rs.
SELECT concat_ws(char(31), CAST(aggregate_id AS TEXT), CAST(command_id AS TEXT), position, sequence, schema_version,
                 checksum, recorded_at, aggregate_type, event_type, metadata, payload) AS event
FROM annals_events
WHERE position > ?1
  AND (?2 IS NULL OR aggregate_type IN (SELECT value FROM json_each(?2)))
  AND (?3 IS NULL OR event_type IN (SELECT value FROM json_each(?3)))
ORDER BY position
LIMIT +?4
