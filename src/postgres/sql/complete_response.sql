-- Stores an answer. $1 scope, $2 key, $3 fence, $4 status, $5 headers, $6 kind of body, $7 body, $8 kept for (µs), $9 now, if
-- it is not the server's.
-- An answer that is there already under this fence stays as it is. A finished request need not be kept.
WITH clock AS MATERIALIZED (
    SELECT coalesce($9::timestamptz, clock_timestamp()) AS now
)
UPDATE annals_responses AS response
SET state = 'completed',
    lease_expires_at = NULL,
    completed_at = CASE state WHEN 'running' THEN clock.now ELSE completed_at END,
    expires_at = CASE state WHEN 'running' THEN clock.now + $8::bigint * interval '1 microsecond' ELSE expires_at END,
    status = CASE state WHEN 'running' THEN $4::smallint ELSE status END,
    headers = CASE state WHEN 'running' THEN $5::json ELSE headers END,
    body_kind = CASE state WHEN 'running' THEN $6::text ELSE body_kind END,
    body = CASE state WHEN 'running' THEN $7::bytea ELSE body END,
    request = NULL,
    request_body = NULL
FROM clock
WHERE scope = $1 AND idempotency_key = $2 AND fence = $3 AND state <> 'dead'
