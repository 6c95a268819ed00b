-- Reads events in the order of aggregates and sequences, for the check of the whole log.
-- ?1 after aggregate id, ?2 after sequence, ?3 limit.
-- The columns come as one, see row.rs; those that say where to go on come by themselves as well, as they may be all of a
-- damaged row that can be read.
SELECT concat_ws(char(31), CAST(aggregate_id AS TEXT), CAST(command_id AS TEXT), position, sequence, schema_version,
                 checksum, recorded_at, aggregate_type, event_type, metadata, payload) AS event,
       aggregate_id, sequence, position
FROM annals_events
WHERE (aggregate_id, sequence) > (?1, ?2)
ORDER BY aggregate_id, sequence
LIMIT +?3
