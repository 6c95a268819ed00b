-- Reads what stands under a key. $1 scope, $2 key, $3 now, if it is not the server's.
WITH clock AS MATERIALIZED (
    SELECT coalesce($3::timestamptz, clock_timestamp()) AS now
)
SELECT fingerprint, recipe, state, fence, attempts,
       (extract(epoch FROM lease_expires_at - clock.now) * 1000000)::bigint AS lease_left,
       (extract(epoch FROM expires_at - clock.now) * 1000000)::bigint AS time_left,
       status, headers::text AS headers, body_kind, body
FROM clock, annals_responses
WHERE scope = $1 AND idempotency_key = $2
