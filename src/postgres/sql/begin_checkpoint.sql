-- Makes a checkpoint and takes its lease, where there is none. $1 name, $2 partition, $3 partitions, $4 kind, $5 version,
-- $6 owner, $7 lease expires at, $8 now, $9 fence; where it begins: $10 position, $11 aggregate id, $12 sequence,
-- $13 command id, $14 recorded at.
-- No row where there is one, or where the name is of another kind or split otherwise.
INSERT INTO annals_checkpoints
    (name, partition, partitions, kind, version, lease_owner, lease_expires_at, renewed_at, updated_at, fence, position,
     aggregate_id, sequence, command_id, recorded_at)
SELECT $1::text, $2::integer, $3::integer, $4::text, $5::integer, $6::text, $7::timestamptz, $8::timestamptz, $8::timestamptz,
       $9::bigint, $10::bigint, $11::uuid, $12::bigint, $13::uuid, $14::timestamptz
WHERE NOT EXISTS (SELECT 1 FROM annals_checkpoints AS other
                  WHERE other.name = $1 AND (other.partitions <> $3 OR other.kind <> $4))
ON CONFLICT DO NOTHING
RETURNING name, partition, partitions, kind, position, aggregate_id, sequence, command_id, recorded_at, fence, lease_owner,
       lease_expires_at, renewed_at, updated_at, build, version, crashes, failure, failed_at, paused_at
