-- Lists timers in the order of their ids. $1 queue, $2 the first id there may be, $3 state or NULL for any, $4 how many,
-- $5 now, if it is not the server's.
SELECT queue, timer_id, state, due_at, next_at, payload::text AS payload, revision, attempts, owner, lease_expires_at, renewed_at,
       failure, failed_at, scheduled_at
FROM annals_timers
WHERE queue = $1 AND timer_id >= $2 AND ($3::smallint IS NULL OR state = $3)
  AND (expires_at <= coalesce($5::timestamptz, clock_timestamp())) IS NOT TRUE
ORDER BY timer_id
LIMIT $4
