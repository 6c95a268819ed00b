-- Makes a checkpoint and takes its lease, where there is none. ?1 name, ?2 partition, ?3 partitions, ?4 kind, ?5 version,
-- ?6 owner, ?7 lease expires at (µs), ?8 now (µs), ?9 fence; where it begins: ?10 position, ?11 aggregate id, ?12 sequence,
-- ?13 command id, ?14 recorded at (µs).
-- No row where there is one, or where the name is of another kind or split otherwise.
INSERT INTO annals_checkpoints
    (name, partition, partitions, kind, version, lease_owner, lease_expires_at, renewed_at, updated_at, fence, position,
     aggregate_id, sequence, command_id, recorded_at)
SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8,
       ?9, ?10, ?11, ?12, ?13, ?14
WHERE NOT EXISTS (SELECT 1 FROM annals_checkpoints AS other
                  WHERE other.name = ?1 AND (other.partitions <> ?3 OR other.kind <> ?4))
ON CONFLICT DO NOTHING
RETURNING name, partition, partitions, kind, position, aggregate_id, sequence, command_id, recorded_at, fence, lease_owner,
       lease_expires_at, renewed_at, updated_at, build, version, crashes, failure, failed_at, paused_at
