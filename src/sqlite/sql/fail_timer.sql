-- Has a timer that has failed be tried again. ?1 queue, ?2 id, ?3 fence, ?4 next at (µs), ?5 what went wrong, ?6 now (µs),
-- ?7 the revision it was taken at: where it was woken since, it is tried at once, and that does not count.
UPDATE annals_timers
SET next_at = CASE WHEN revision = ?7 THEN ?4 ELSE ?6 END,
    attempts = CASE WHEN revision = ?7 THEN attempts ELSE max(attempts - 1, 0) END, owner = NULL, lease_expires_at = NULL, renewed_at = NULL, failure = ?5, failed_at = ?6
WHERE queue = ?1 AND timer_id = ?2 AND fence = ?3 AND state = 0 AND owner IS NOT NULL
