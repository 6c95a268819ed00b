-- Lets go of a lease. ?1 name, ?2 partition, ?3 fence.
-- Who lets go has not crashed, and ends the row of those who have.
UPDATE annals_checkpoints
SET lease_owner = NULL, lease_expires_at = NULL, renewed_at = NULL, crashes = 0
WHERE name = ?1 AND partition = ?2 AND fence = ?3
