-- Reads stored requests whose lease has lapsed, the ones that lapsed first before others. $1 how long ago (µs), $2 how many,
-- $3 now, if it is not the server's.
WITH clock AS MATERIALIZED (
    SELECT coalesce($3::timestamptz, clock_timestamp()) AS now
)
SELECT scope, idempotency_key, fingerprint, recipe, attempts, request::text AS request, request_body
FROM annals_responses
WHERE request IS NOT NULL AND state = 'running'
  AND lease_expires_at <= (SELECT now FROM clock) - $1::bigint * interval '1 microsecond'
  AND expires_at > (SELECT now FROM clock)
ORDER BY lease_expires_at
LIMIT $2
