-- Cancels a timer, or notes that it is cancelled before it is set, and shuts out whoever holds it. ?1 queue, ?2 id,
-- ?3 expires at (µs), ?4 now (µs).
-- What has fired or was cancelled stays as it is until its time is over.
INSERT INTO annals_timers AS timer (
    queue, timer_id, state, due_at, next_at, revision, fence, attempts, scheduled_at, expires_at
)
SELECT ?1, ?2, 3, ?4, ?4, 1, 0, 0, ?4, ?3
WHERE true
ON CONFLICT (queue, timer_id) DO UPDATE SET
    state = 3,
    revision = timer.revision + 1,
    owner = NULL,
    lease_expires_at = NULL,
    renewed_at = NULL,
    expires_at = excluded.expires_at
WHERE timer.state < 2 OR timer.expires_at <= excluded.scheduled_at
