-- Reads the checkpoints of a name by their partitions, and locks them until the transaction ends. $1 name.
-- Differs because SQLite's one writer has the whole database.
SELECT name, partition, partitions, kind, position, aggregate_id, sequence, command_id, recorded_at, fence, lease_owner,
       lease_expires_at, renewed_at, updated_at, build, version, crashes, failure, failed_at, paused_at
FROM annals_checkpoints
WHERE name = $1
ORDER BY partition
FOR UPDATE
