-- Has timers be looked at, and makes those that are not there. ?1 queue, ?2 ids in hexadecimal digits as JSON, ?3 at (µs),
-- ?4 now (µs).
-- What is held has its turn once it is settled; what has failed has it sooner than after its pause, and that does not count. One that
-- has fired or was cancelled stays so, until its time is over.
INSERT INTO annals_timers AS timer (queue, timer_id, state, due_at, next_at, revision, fence, attempts, scheduled_at)
SELECT ?1, unhex(value), 0, ?3, ?3, 1, 0, 0, ?4
FROM json_each(?2)
WHERE true
ON CONFLICT (queue, timer_id) DO UPDATE SET
    state = CASE WHEN timer.state < 2 THEN timer.state ELSE 0 END,
    due_at = CASE WHEN timer.state < 2 THEN min(timer.due_at, excluded.due_at) ELSE excluded.due_at END,
    next_at = CASE WHEN timer.state >= 2 THEN excluded.next_at
                   WHEN timer.owner IS NOT NULL THEN timer.next_at
                   ELSE min(timer.next_at, excluded.next_at) END,
    payload = CASE WHEN timer.state < 2 THEN timer.payload END,
    revision = timer.revision + 1,
    attempts = CASE WHEN timer.state >= 2 THEN 0
                    WHEN timer.owner IS NULL AND timer.failure IS NOT NULL AND timer.next_at > excluded.next_at
                    THEN max(timer.attempts - 1, 0)
                    ELSE timer.attempts END,
    failure = CASE WHEN timer.state < 2 THEN timer.failure END,
    failed_at = CASE WHEN timer.state < 2 THEN timer.failed_at END,
    scheduled_at = CASE WHEN timer.state < 2 THEN timer.scheduled_at ELSE excluded.scheduled_at END,
    expires_at = NULL
WHERE timer.state < 2 OR timer.expires_at <= excluded.scheduled_at
