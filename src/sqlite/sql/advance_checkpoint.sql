-- Moves a checkpoint and renews its lease. ?1 name, ?2 partition, ?3 fence, ?4 position before, ?5 position, ?6 aggregate id,
-- ?7 sequence, ?8 command id, ?9 recorded at (µs), ?10 lease expires at (µs), ?11 now (µs).
-- What went wrong before counts until the position moves.
UPDATE annals_checkpoints
SET position = ?5, aggregate_id = ?6, sequence = ?7, command_id = ?8, recorded_at = ?9,
    lease_expires_at = ?10, renewed_at = ?11,
    updated_at = CASE WHEN position = ?5 THEN updated_at ELSE ?11 END,
    crashes    = CASE WHEN position = ?5 THEN crashes ELSE 0 END,
    failure    = CASE WHEN position = ?5 THEN failure END,
    failed_at  = CASE WHEN position = ?5 THEN failed_at END
WHERE name = ?1 AND partition = ?2 AND fence = ?3 AND position = ?4 AND lease_owner IS NOT NULL
