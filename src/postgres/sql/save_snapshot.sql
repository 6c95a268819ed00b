-- Keeps a snapshot. $1 aggregate id, $2 snapshot version, $3 sequence, $4 state, $5 checksum, $6 recorded at.
-- Nothing is written where there is no such event, and nothing older over something newer, unless what is there does
-- not fit the stream.
INSERT INTO annals_snapshots
    (aggregate_id, snapshot_version, sequence, event_checksum, state, checksum, recorded_at)
SELECT aggregate_id, $2::int, sequence, checksum, $4::json, $5::bigint, $6::timestamptz
FROM annals_events
WHERE aggregate_id = $1 AND sequence = $3
ON CONFLICT (aggregate_id) DO UPDATE SET
    snapshot_version = excluded.snapshot_version,
    sequence = excluded.sequence,
    event_checksum = excluded.event_checksum,
    state = excluded.state,
    checksum = excluded.checksum,
    recorded_at = excluded.recorded_at
WHERE excluded.snapshot_version > annals_snapshots.snapshot_version
   OR (excluded.snapshot_version = annals_snapshots.snapshot_version AND excluded.sequence > annals_snapshots.sequence)
   OR NOT EXISTS (SELECT 1 FROM annals_events AS event
                  WHERE event.aggregate_id = annals_snapshots.aggregate_id
                    AND event.sequence = annals_snapshots.sequence
                    AND event.checksum = annals_snapshots.event_checksum)
