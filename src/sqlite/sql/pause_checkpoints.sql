-- Pauses all partitions of a name, and takes their leases. ?1 name, ?2 now (µs).
UPDATE annals_checkpoints
SET paused_at = coalesce(paused_at, ?2), fence = fence + 1,
    lease_owner = NULL, lease_expires_at = NULL, renewed_at = NULL
WHERE name = ?1
