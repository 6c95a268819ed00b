-- Sets a timer aside. ?1 queue, ?2 id, ?3 fence, ?4 why, ?5 now (µs).
UPDATE annals_timers
SET state = 1, next_at = ?5, owner = NULL, lease_expires_at = NULL, renewed_at = NULL, failure = ?4, failed_at = ?5
WHERE queue = ?1 AND timer_id = ?2 AND fence = ?3 AND state = 0 AND owner IS NOT NULL
