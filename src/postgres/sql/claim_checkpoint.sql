-- Takes a lease, if it is free, has lapsed, is the caller's already, or is taken by force. $1 name, $2 partition,
-- $3 partitions, $4 kind, $5 version, $6 owner, $7 lease expires at, $8 now, $9 by force.
-- No row where it is refused, as well where the name is of another kind, or split otherwise; or where there is none.
-- A lease that has lapsed was never let go of: its runner has crashed, unless it is back.
-- A projection that has no tables yet takes over the version of newer code.
UPDATE annals_checkpoints SET
    fence = fence + 1,
    lease_owner = $6,
    lease_expires_at = $7,
    renewed_at = $8,
    version = $5,
    crashes = crashes + (lease_owner IS NOT NULL AND lease_owner <> $6 AND lease_expires_at <= $8 AND NOT $9)::integer
WHERE name = $1 AND partition = $2 AND partitions = $3 AND kind = $4
  AND (version = $5 OR (build = 0 AND version < $5))
  AND paused_at IS NULL
  AND (lease_owner IS NULL OR lease_expires_at <= $8 OR lease_owner = $6 OR $9)
  AND NOT EXISTS (SELECT 1 FROM annals_checkpoints AS other
                  WHERE other.name = $1 AND (other.partitions <> $3 OR other.kind <> $4))
RETURNING name, partition, partitions, kind, position, aggregate_id, sequence, command_id, recorded_at, fence, lease_owner,
       lease_expires_at, renewed_at, updated_at, build, version, crashes, failure, failed_at, paused_at
