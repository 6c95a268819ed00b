-- Splits a subscription into partitions that all stand at one place, and are nobody's. ?1 name, ?2 partitions, ?3 position,
-- ?4 aggregate id, ?5 sequence, ?6 command id, ?7 recorded at (µs), ?8 fence, ?9 paused at (µs) or null, ?10 now (µs).
WITH RECURSIVE input (partition) AS (
    SELECT 0 UNION ALL SELECT partition + 1 FROM input WHERE partition + 1 < ?2
)
INSERT INTO annals_checkpoints
    (name, partition, partitions, kind, position, aggregate_id, sequence, command_id, recorded_at, fence, paused_at,
     updated_at)
SELECT ?1, input.partition, ?2, 'subscription', ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10 FROM input WHERE true
ON CONFLICT (name, partition) DO UPDATE SET
    partitions = excluded.partitions,
    position = excluded.position,
    aggregate_id = excluded.aggregate_id,
    sequence = excluded.sequence,
    command_id = excluded.command_id,
    recorded_at = excluded.recorded_at,
    fence = excluded.fence,
    lease_owner = NULL,
    lease_expires_at = NULL,
    renewed_at = NULL,
    updated_at = excluded.updated_at,
    crashes = 0,
    failure = NULL,
    failed_at = NULL,
    paused_at = excluded.paused_at
