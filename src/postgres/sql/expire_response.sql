-- Ends a finished answer's time. $1 scope, $2 key, $3 what is done, $4 by whom, $5 now, if it is not the server's.
WITH clock AS MATERIALIZED (
    SELECT coalesce($5::timestamptz, clock_timestamp()) AS now
)
UPDATE annals_responses
SET expires_at = clock.now, operation = $3, operator = $4, operated_at = clock.now
FROM clock
WHERE scope = $1 AND idempotency_key = $2 AND state IN ('completed', 'dead')
