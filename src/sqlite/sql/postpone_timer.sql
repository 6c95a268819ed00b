-- Has a timer that got on be looked at again, sooner where it was woken meanwhile. ?1 queue, ?2 id, ?3 fence, ?4 the revision it
-- was taken at, ?5 at (µs) or NULL for only if it was woken, ?6 now (µs).
UPDATE annals_timers
SET due_at = CASE WHEN revision = ?4 THEN ?5 ELSE min(coalesce(?5, ?6), ?6) END,
    next_at = CASE WHEN revision = ?4 THEN ?5 ELSE min(coalesce(?5, ?6), ?6) END,
    attempts = 0, owner = NULL, lease_expires_at = NULL, renewed_at = NULL, failure = NULL, failed_at = NULL
WHERE queue = ?1 AND timer_id = ?2 AND fence = ?3 AND state = 0 AND owner IS NOT NULL AND (?5 IS NOT NULL OR revision <> ?4)
