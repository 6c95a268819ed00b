-- Reads the snapshot of an aggregate, if it fits, and the events after it; all events otherwise.
-- $1 aggregate id, $2 snapshot version. A row with a snapshot version is the snapshot: its state stands for the payload, its
-- command id, recorded_at and names are those of the event it was taken after, and its checksum is its own.
-- A snapshot fits where the stream has the very event it was taken after: one that is ahead of a stream that was set
-- back, or belongs to another past, does not.
WITH snapshot AS MATERIALIZED (
    SELECT taken.snapshot_version, taken.state, taken.checksum AS state_checksum, event.*
    FROM annals_snapshots AS taken
    JOIN annals_events AS event
        ON event.aggregate_id = taken.aggregate_id
       AND event.sequence = taken.sequence
       AND event.checksum = taken.event_checksum
    WHERE taken.aggregate_id = $1 AND taken.snapshot_version = $2
)
SELECT aggregate_id, sequence, position, command_id, state_checksum AS checksum, recorded_at, schema_version,
       aggregate_type, event_type, state AS payload, metadata, snapshot_version
FROM snapshot
UNION ALL
(SELECT aggregate_id, sequence, position, command_id, checksum, recorded_at, schema_version, aggregate_type, event_type,
        payload, metadata, NULL
 FROM annals_events
 WHERE aggregate_id = $1 AND sequence > coalesce((SELECT sequence FROM snapshot), 0)
 ORDER BY sequence)
