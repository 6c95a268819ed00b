-- Reads the snapshot of an aggregate, if it fits, and the events after it; all events otherwise.
-- ?1 aggregate id, ?2 snapshot version. A row without a position is the snapshot, its state in the payload's place; its
-- command id is that of the event it was taken after.
-- A snapshot fits where the stream has the very event it was taken after: one that is ahead of a stream that was set
-- back, or belongs to another past, does not.
WITH snapshot AS (
    SELECT taken.sequence, taken.snapshot_version, taken.state, taken.checksum, taken.recorded_at,
           event.command_id
    FROM annals_snapshots AS taken
    JOIN annals_events AS event
        ON event.aggregate_id = taken.aggregate_id
       AND event.sequence = taken.sequence
       AND event.checksum = taken.event_checksum
    WHERE taken.aggregate_id = ?1 AND taken.snapshot_version = ?2
)
SELECT NULL AS position, ?1 AS aggregate_id, sequence, NULL AS aggregate_type, NULL AS event_type,
       snapshot_version AS schema_version, command_id, state AS payload, NULL AS metadata, checksum, recorded_at
FROM snapshot
UNION ALL
SELECT position, aggregate_id, sequence, aggregate_type, event_type, schema_version,
       command_id, payload, metadata, checksum, recorded_at
FROM annals_events
WHERE aggregate_id = ?1 AND sequence > coalesce((SELECT sequence FROM snapshot), 0)
ORDER BY sequence
