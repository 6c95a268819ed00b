-- Writes timers. ?1 a JSON array of them.
-- One that nobody has taken here yet is replaced by what was done to it since; else what is here stays.
INSERT INTO annals_timers AS timer
    (queue, timer_id, state, due_at, next_at, payload, revision, fence, attempts, failure, failed_at, scheduled_at,
     expires_at)
SELECT value ->> 'queue', unhex(replace(value ->> 'timer_id', '-', '')), value ->> 'state', value ->> 'due_at',
       value ->> 'next_at', value ->> 'payload', value ->> 'revision', 0, value ->> 'attempts', value ->> 'failure',
       value ->> 'failed_at', value ->> 'scheduled_at', value ->> 'expires_at'
FROM json_each(?1)
WHERE true
ON CONFLICT (queue, timer_id) DO UPDATE SET
    state = excluded.state,
    due_at = excluded.due_at,
    next_at = excluded.next_at,
    payload = excluded.payload,
    revision = excluded.revision,
    attempts = excluded.attempts,
    failure = excluded.failure,
    failed_at = excluded.failed_at,
    expires_at = excluded.expires_at
WHERE timer.fence = 0 AND timer.scheduled_at = excluded.scheduled_at
  AND (timer.revision < excluded.revision
       OR (timer.revision = excluded.revision AND timer.state < excluded.state))
