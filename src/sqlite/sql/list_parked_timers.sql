-- Lists timers that were set aside, in the order of their ids. ?1 queue, ?2 the first id there may be, ?3 how many.
SELECT queue, timer_id, state, due_at, next_at, payload, revision, attempts, owner, lease_expires_at, renewed_at, failure, failed_at,
       scheduled_at
FROM annals_timers
WHERE queue = ?1 AND timer_id >= ?2 AND state = 1
ORDER BY timer_id
LIMIT ?3
