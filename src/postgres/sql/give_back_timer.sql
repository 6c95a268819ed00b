-- Gives a timer back as it was. $1 queue, $2 id, $3 fence, $4 now, if it is not the server's.
-- IS TRUE keeps it off the index by time.
WITH clock AS MATERIALIZED (
    SELECT coalesce($4::timestamptz, clock_timestamp()) AS now
)
UPDATE annals_timers
SET next_at = CASE WHEN failure IS NULL THEN least(due_at, clock.now) ELSE clock.now END, attempts = greatest(attempts - 1, 0),
    owner = NULL, lease_expires_at = NULL, renewed_at = NULL
FROM clock
WHERE queue = $1 AND timer_id = $2 AND fence = $3 AND (state = 0) IS TRUE AND owner IS NOT NULL
