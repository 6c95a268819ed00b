-- Gives a sign of life. $1 name, $2 partition, $3 fence, $4 lease expires at, $5 now.
-- Passes over a checkpoint that a transaction holds: it never waits for a batch.
-- Differs because SQLite has no locks on rows.
UPDATE annals_checkpoints AS checkpoint
SET lease_expires_at = $4, renewed_at = $5
FROM (
    SELECT name, partition
    FROM annals_checkpoints
    WHERE name = $1 AND partition = $2 AND fence = $3 AND lease_owner IS NOT NULL
    FOR UPDATE SKIP LOCKED
) AS held
WHERE checkpoint.name = held.name AND checkpoint.partition = held.partition
