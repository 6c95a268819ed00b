-- Reads the checkpoints of the names between two, by name and partition. ?1 first name, ?2 last name, ?3 limit.
SELECT name, partition, partitions, kind, position, aggregate_id, sequence, command_id, recorded_at, fence, lease_owner,
       lease_expires_at, renewed_at, updated_at, build, version, crashes, failure, failed_at, paused_at
FROM annals_checkpoints
WHERE name >= ?1 AND name <= ?2
ORDER BY name, partition
LIMIT +?3
