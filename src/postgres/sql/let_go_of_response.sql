-- Ends a lease for whoever goes on with the same request. $1 scope, $2 key, $3 fence, $4 now, if it is not the server's.
-- The attempt does not count, and is not taken back twice.
WITH clock AS MATERIALIZED (
    SELECT coalesce($4::timestamptz, clock_timestamp()) AS now
)
UPDATE annals_responses
SET lease_expires_at = least(lease_expires_at, clock.now),
    attempts = greatest(attempts - (lease_expires_at > clock.now)::integer, 0)
FROM clock
WHERE scope = $1 AND idempotency_key = $2 AND fence = $3 AND state = 'running'
