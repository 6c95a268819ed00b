-- Ends the lease of whoever is at work, and shuts them out. $1 scope, $2 key, $3 what is done, $4 by whom, $5 now, if it is
-- not the server's.
-- Differs because SQLite draws a fence by a statement of its own.
WITH clock AS MATERIALIZED (
    SELECT coalesce($5::timestamptz, clock_timestamp()) AS now
)
UPDATE annals_responses
SET lease_expires_at = clock.now, fence = nextval('annals_fences'), operation = $3, operator = $4, operated_at = clock.now
FROM clock
WHERE scope = $1 AND idempotency_key = $2 AND state = 'running'
