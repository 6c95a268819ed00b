-- Sets timers, but for those that are there. $1 queue, $2 ids, $3 times, $4 payloads, $5 now, if it is not the server's.
-- A row for each that was set. One that has fired or was cancelled, and whose time is over, is used anew.
WITH clock AS MATERIALIZED (
    SELECT coalesce($5::timestamptz, clock_timestamp()) AS now
)
INSERT INTO annals_timers AS timer (
    queue, timer_id, state, due_at, next_at, payload, revision, fence, attempts, scheduled_at
)
SELECT $1, given.timer_id, 0, given.due_at, given.due_at, given.payload::json, 1, 0, 0, clock.now
FROM clock, unnest($2::uuid[], $3::timestamptz[], $4::text[]) AS given (timer_id, due_at, payload)
ON CONFLICT (queue, timer_id) DO UPDATE SET
    state = 0,
    due_at = excluded.due_at,
    next_at = excluded.next_at,
    payload = excluded.payload,
    revision = timer.revision + 1,
    attempts = 0,
    failure = NULL,
    failed_at = NULL,
    scheduled_at = excluded.scheduled_at,
    expires_at = NULL
WHERE timer.expires_at <= excluded.scheduled_at
RETURNING timer_id
