-- Reads what stands where an earlier attempt of an append would have written, and one event more.
-- ?1 aggregate id, ?2 its first sequence, ?3 the sequence after its last.
-- The columns come as one, see row.rs.
SELECT concat_ws(char(31), CAST(aggregate_id AS TEXT), CAST(command_id AS TEXT), position, sequence, schema_version,
                 checksum, recorded_at, aggregate_type, event_type, metadata, payload) AS event
FROM annals_events
WHERE aggregate_id = ?1 AND sequence BETWEEN ?2 AND ?3
ORDER BY sequence
