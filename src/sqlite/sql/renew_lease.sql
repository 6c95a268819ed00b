-- Gives a sign of life. ?1 name, ?2 partition, ?3 fence, ?4 lease expires at (µs), ?5 now (µs).
UPDATE annals_checkpoints
SET lease_expires_at = ?4, renewed_at = ?5
WHERE name = ?1 AND partition = ?2 AND fence = ?3 AND lease_owner IS NOT NULL
