-- Has a parked timer be tried again. $1 queue, $2 id, $3 now, if it is not the server's.
UPDATE annals_timers
SET state = 0, next_at = coalesce($3::timestamptz, clock_timestamp()), revision = revision + 1, attempts = 0
WHERE queue = $1 AND timer_id = $2 AND state = 1
