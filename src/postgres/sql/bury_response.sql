-- Gives a request up that nobody is at work on. $1 scope, $2 key, $3 fence, $4 status, $5 headers, $6 kind of body, $7 body,
-- $8 kept for (µs), $9 now, if it is not the server's.
-- The request is kept: an operator may have it tried anew.
WITH clock AS MATERIALIZED (
    SELECT coalesce($9::timestamptz, clock_timestamp()) AS now
)
UPDATE annals_responses
SET state = 'dead',
    lease_expires_at = NULL,
    completed_at = clock.now,
    expires_at = clock.now + $8::bigint * interval '1 microsecond',
    status = $4,
    headers = $5::json,
    body_kind = $6,
    body = $7
FROM clock
WHERE scope = $1 AND idempotency_key = $2 AND fence = $3 AND state = 'running' AND lease_expires_at <= clock.now
