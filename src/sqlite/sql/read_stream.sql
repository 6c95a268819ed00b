-- Reads events of an aggregate from first to last. ?1 aggregate id, ?2 from sequence, ?3 to sequence,
-- ?4 JSON array of event types or null, ?5 limit (-1: none).
-- The plus keeps SQLite from planning anew at every call, as it does where a LIMIT is a bare parameter.
-- The columns come as one, see row.rs.
SELECT concat_ws(char(31), CAST(aggregate_id AS TEXT), CAST(command_id AS TEXT), position, sequence, schema_version,
                 checksum, recorded_at, aggregate_type, event_type, metadata, payload) AS event
FROM annals_events
WHERE aggregate_id = ?1 AND sequence BETWEEN ?2 AND ?3
  AND (?4 IS NULL OR event_type IN (SELECT value FROM json_each(?4)))
ORDER BY sequence
LIMIT +?5
