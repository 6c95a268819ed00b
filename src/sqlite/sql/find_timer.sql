-- Finds a timer. ?1 queue, ?2 id, ?3 now (µs).
SELECT queue, timer_id, state, due_at, next_at, payload, revision, attempts, owner, lease_expires_at, renewed_at, failure, failed_at,
       scheduled_at
FROM annals_timers
WHERE queue = ?1 AND timer_id = ?2 AND (expires_at <= ?3) IS NOT TRUE
