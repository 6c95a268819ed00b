-- Lets a request be tried anew that was given up. $1 scope, $2 key, $3 what is done, $4 by whom, $5 now, if it is not the
-- server's.
-- Whoever had it last is shut out. Differs because SQLite draws a fence by a statement of its own.
WITH clock AS MATERIALIZED (
    SELECT coalesce($5::timestamptz, clock_timestamp()) AS now
)
UPDATE annals_responses
SET state = 'running', lease_expires_at = clock.now, fence = nextval('annals_fences'), attempts = 0, completed_at = NULL,
    status = NULL, headers = NULL, body_kind = NULL, body = NULL, operation = $3, operator = $4, operated_at = clock.now
FROM clock
WHERE scope = $1 AND idempotency_key = $2 AND state = 'dead'
