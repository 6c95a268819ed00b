-- Has timers be looked at, and makes those that are not there. $1 queue, $2 ids, $3 at, or NULL for now, $4 now, if it is not the
-- server's.
-- What is held has its turn once it is settled; what has failed has it sooner than after its pause, and that does not count. One that
-- has fired or was cancelled stays so, until its time is over.
WITH clock AS MATERIALIZED (
    SELECT coalesce($4::timestamptz, clock_timestamp()) AS now
)
INSERT INTO annals_timers AS timer (queue, timer_id, state, due_at, next_at, revision, fence, attempts, scheduled_at)
SELECT $1, given.timer_id, 0, coalesce($3::timestamptz, clock.now), coalesce($3::timestamptz, clock.now), 1, 0, 0, clock.now
FROM clock, unnest($2::uuid[]) AS given (timer_id)
ON CONFLICT (queue, timer_id) DO UPDATE SET
    state = CASE WHEN timer.state < 2 THEN timer.state ELSE 0 END,
    due_at = CASE WHEN timer.state < 2 THEN least(timer.due_at, excluded.due_at) ELSE excluded.due_at END,
    next_at = CASE WHEN timer.state >= 2 THEN excluded.next_at
                   WHEN timer.owner IS NOT NULL THEN timer.next_at
                   ELSE least(timer.next_at, excluded.next_at) END,
    payload = CASE WHEN timer.state < 2 THEN timer.payload END,
    revision = timer.revision + 1,
    attempts = CASE WHEN timer.state >= 2 THEN 0
                    WHEN timer.owner IS NULL AND timer.failure IS NOT NULL AND timer.next_at > excluded.next_at
                    THEN greatest(timer.attempts - 1, 0)
                    ELSE timer.attempts END,
    failure = CASE WHEN timer.state < 2 THEN timer.failure END,
    failed_at = CASE WHEN timer.state < 2 THEN timer.failed_at END,
    scheduled_at = CASE WHEN timer.state < 2 THEN timer.scheduled_at ELSE excluded.scheduled_at END,
    expires_at = NULL
WHERE timer.state < 2 OR timer.expires_at <= excluded.scheduled_at
