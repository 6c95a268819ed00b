-- Reads a checkpoint. ?1 name, ?2 partition.
SELECT name, partition, partitions, kind, position, aggregate_id, sequence, command_id, recorded_at, fence, lease_owner,
       lease_expires_at, renewed_at, updated_at, build, version, crashes, failure, failed_at, paused_at
FROM annals_checkpoints
WHERE name = ?1 AND partition = ?2
