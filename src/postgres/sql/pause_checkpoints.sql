-- Pauses all partitions of a name, and takes their leases. $1 name, $2 now.
-- What nobody has ever leased keeps its fence of 0: an import knows by it that nobody has run it here.
UPDATE annals_checkpoints
SET paused_at = coalesce(paused_at, $2), fence = CASE fence WHEN 0 THEN 0 ELSE fence + 1 END,
    lease_owner = NULL, lease_expires_at = NULL, renewed_at = NULL
WHERE name = $1
