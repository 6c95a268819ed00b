-- Reads the snapshot of an aggregate, if it fits, and the events after it; all events otherwise.
-- ?1 aggregate id, ?2 snapshot version. A row with a snapshot version is the snapshot, its state in the event's place;
-- its command id is that of the event it was taken after. An event's columns come as one, see row.rs.
-- A snapshot fits where the stream has the very event it was taken after: one that is ahead of a stream that was set
-- back, or belongs to another past, does not.
WITH snapshot AS (
    SELECT taken.sequence, taken.snapshot_version, taken.state, taken.checksum, event.command_id
    FROM annals_snapshots AS taken
    JOIN annals_events AS event
        ON event.aggregate_id = taken.aggregate_id
       AND event.sequence = taken.sequence
       AND event.checksum = taken.event_checksum
    WHERE taken.aggregate_id = ?1 AND taken.snapshot_version = ?2
)
SELECT state AS event, sequence, snapshot_version, checksum, command_id
FROM snapshot
UNION ALL
SELECT concat_ws(char(31), CAST(aggregate_id AS TEXT), CAST(command_id AS TEXT), position, sequence, schema_version,
                 checksum, recorded_at, aggregate_type, event_type, metadata, payload) AS event,
       sequence, NULL, NULL, NULL
FROM annals_events
WHERE aggregate_id = ?1 AND sequence > coalesce((SELECT sequence FROM snapshot), 0)
ORDER BY sequence
