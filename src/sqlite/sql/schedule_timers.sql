-- Sets timers, but for those that are there. ?1 queue, ?2 ids in hexadecimal digits, times (µs) and payloads as JSON, ?3 now (µs).
-- A row for each that was set. One that has fired or was cancelled, and whose time is over, is used anew.
INSERT INTO annals_timers AS timer (
    queue, timer_id, state, due_at, next_at, payload, revision, fence, attempts, scheduled_at
)
SELECT ?1, unhex(value ->> 0), 0, value ->> 1, value ->> 1, value ->> 2, 1, 0, 0, ?3
FROM json_each(?2)
WHERE true
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
