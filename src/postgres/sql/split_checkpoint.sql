-- Splits a subscription into partitions that all stand at one place, and are nobody's. $1 name, $2 partitions, $3 position,
-- $4 aggregate id, $5 sequence, $6 command id, $7 recorded at, $8 fence, $9 paused at or null, $10 now.
INSERT INTO annals_checkpoints
    (name, partition, partitions, kind, position, aggregate_id, sequence, command_id, recorded_at, fence, paused_at,
     updated_at)
SELECT $1::text, input.partition, $2::integer, 'subscription', $3::bigint, $4::uuid, $5::bigint, $6::uuid, $7::timestamptz,
       $8::bigint, $9::timestamptz, $10::timestamptz
FROM generate_series(0, $2::integer - 1) AS input (partition)
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
