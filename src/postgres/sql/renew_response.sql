-- Gives a sign of life. $1 scope, $2 key, $3 fence, $4 lease (µs), $5 kept for (µs) after it, $6 now, if it is not the
-- server's.
WITH clock AS MATERIALIZED (
    SELECT coalesce($6::timestamptz, clock_timestamp()) AS now
)
UPDATE annals_responses
SET lease_expires_at = clock.now + $4::bigint * interval '1 microsecond',
    expires_at = clock.now + ($4::bigint + $5::bigint) * interval '1 microsecond'
FROM clock
WHERE scope = $1 AND idempotency_key = $2 AND fence = $3 AND state = 'running'
