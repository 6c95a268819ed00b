-- Has a timer that waits or is parked be due at another time, and shuts out whoever holds it. $1 queue, $2 id, $3 due at.
UPDATE annals_timers
SET state = 0, due_at = $3::timestamptz, next_at = $3::timestamptz, revision = revision + 1, attempts = 0, owner = NULL,
    lease_expires_at = NULL, renewed_at = NULL, failure = NULL, failed_at = NULL
WHERE queue = $1 AND timer_id = $2 AND state < 2
