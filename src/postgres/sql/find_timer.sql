-- Finds a timer. $1 queue, $2 id, $3 now, if it is not the server's.
SELECT queue, timer_id, state, due_at, next_at, payload::text AS payload, revision, attempts, owner, lease_expires_at, renewed_at,
       failure, failed_at, scheduled_at
FROM annals_timers
WHERE queue = $1 AND timer_id = $2 AND (expires_at <= coalesce($3::timestamptz, clock_timestamp())) IS NOT TRUE
