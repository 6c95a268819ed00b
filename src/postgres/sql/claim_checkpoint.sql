-- Takes a lease, if it is free, has lapsed, is the caller's already, or is taken by force; makes the checkpoint where there
-- is none. $1 name, $2 partition, $3 partitions, $4 kind, $5 version; where a new one begins: $6 position, $7 aggregate id,
-- $8 sequence, $9 command id, $10 recorded at; $11 owner, $12 lease expires at, $13 now, $14 by force,
-- $15 the first fence.
-- No row where it is refused: as well where the name is of another kind, or split otherwise.
-- A lease that has lapsed was never let go of: its runner has crashed.
INSERT INTO annals_checkpoints
    (name, partition, partitions, kind, version, position, aggregate_id, sequence, command_id, recorded_at, fence,
     lease_owner, lease_expires_at, renewed_at, updated_at)
SELECT $1::text, $2::integer, $3::integer, $4::text, $5::integer, $6::bigint, $7::uuid, $8::bigint, $9::uuid,
       $10::timestamptz, $15::bigint, $11::text, $12::timestamptz, $13::timestamptz, $13::timestamptz
WHERE NOT EXISTS (SELECT 1 FROM annals_checkpoints AS other
                  WHERE other.name = $1 AND (other.partitions <> $3 OR other.kind <> $4))
ON CONFLICT (name, partition) DO UPDATE SET
    fence = annals_checkpoints.fence + 1,
    lease_owner = excluded.lease_owner,
    lease_expires_at = excluded.lease_expires_at,
    renewed_at = excluded.renewed_at,
    crashes = annals_checkpoints.crashes
        + (annals_checkpoints.lease_owner IS NOT NULL AND annals_checkpoints.lease_expires_at <= $13 AND NOT $14)::integer
WHERE annals_checkpoints.kind = excluded.kind
  AND annals_checkpoints.partitions = excluded.partitions
  AND annals_checkpoints.version = excluded.version
  AND annals_checkpoints.paused_at IS NULL
  AND (annals_checkpoints.lease_owner IS NULL OR annals_checkpoints.lease_expires_at <= $13
       OR annals_checkpoints.lease_owner = excluded.lease_owner OR $14::boolean)
RETURNING name, partition, partitions, kind, position, aggregate_id, sequence, command_id, recorded_at, fence, lease_owner,
       lease_expires_at, renewed_at, updated_at, build, version, crashes, failure, failed_at, paused_at
