-- Gives a projection another build, and takes its lease. ?1 name, ?2 partition, ?3 build, ?4 version.
UPDATE annals_checkpoints
SET build = ?3, version = ?4, fence = fence + 1, lease_owner = NULL, lease_expires_at = NULL, renewed_at = NULL,
    crashes = 0, failure = NULL, failed_at = NULL
WHERE name = ?1 AND partition = ?2
