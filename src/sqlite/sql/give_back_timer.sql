-- Gives a timer back as it was. ?1 queue, ?2 id, ?3 fence, ?4 now (µs).
UPDATE annals_timers
SET next_at = CASE WHEN failure IS NULL THEN min(due_at, ?4) ELSE ?4 END, attempts = max(attempts - 1, 0), owner = NULL,
    lease_expires_at = NULL, renewed_at = NULL
WHERE queue = ?1 AND timer_id = ?2 AND fence = ?3 AND state = 0 AND owner IS NOT NULL
