-- Sets a timer aside. $1 queue, $2 id, $3 fence, $4 why, $5 now, if it is not the server's.
-- IS TRUE keeps it off the index by time.
WITH clock AS MATERIALIZED (
    SELECT coalesce($5::timestamptz, clock_timestamp()) AS now
)
UPDATE annals_timers
SET state = 1, next_at = clock.now, owner = NULL, lease_expires_at = NULL, renewed_at = NULL, failure = $4, failed_at = clock.now
FROM clock
WHERE queue = $1 AND timer_id = $2 AND fence = $3 AND (state = 0) IS TRUE AND owner IS NOT NULL
