-- Notes that a timer has fired. ?1 queue, ?2 id, ?3 fence, ?4 expires at (µs).
UPDATE annals_timers
SET state = 2, owner = NULL, lease_expires_at = NULL, renewed_at = NULL, failure = NULL, failed_at = NULL, expires_at = ?4
WHERE queue = ?1 AND timer_id = ?2 AND fence = ?3 AND state = 0 AND owner IS NOT NULL
