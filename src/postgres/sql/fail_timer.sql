-- Has a timer that has failed be tried again. $1 queue, $2 id, $3 fence, $4 pause (µs), $5 what went wrong, $6 now, if it is not
-- the server's, $7 the revision it was taken at: where it was woken since, it is tried at once, and that does not count.
-- IS TRUE keeps it off the index by time.
WITH clock AS MATERIALIZED (
    SELECT coalesce($6::timestamptz, clock_timestamp()) AS now
)
UPDATE annals_timers
SET next_at = clock.now + CASE WHEN revision = $7 THEN $4::bigint ELSE 0 END * interval '1 microsecond',
    attempts = CASE WHEN revision = $7 THEN attempts ELSE greatest(attempts - 1, 0) END, owner = NULL, lease_expires_at = NULL, renewed_at = NULL,
    failure = $5, failed_at = clock.now
FROM clock
WHERE queue = $1 AND timer_id = $2 AND fence = $3 AND (state = 0) IS TRUE AND owner IS NOT NULL
