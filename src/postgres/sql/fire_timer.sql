-- Notes that a timer has fired. $1 queue, $2 id, $3 fence, $4 kept for (µs), $5 now, if it is not the server's.
-- IS TRUE keeps it off the index by time.
UPDATE annals_timers
SET state = 2, owner = NULL, lease_expires_at = NULL, renewed_at = NULL, failure = NULL, failed_at = NULL,
    expires_at = coalesce($5::timestamptz, clock_timestamp()) + $4::bigint * interval '1 microsecond'
WHERE queue = $1 AND timer_id = $2 AND fence = $3 AND (state = 0) IS TRUE AND owner IS NOT NULL
