-- Writes timers. $1 a JSON array of them.
-- One that nobody has taken here yet is replaced by what was done to it since; else what is here stays.
INSERT INTO annals_timers AS timer
    (queue, timer_id, state, due_at, next_at, payload, revision, fence, attempts, failure, failed_at, scheduled_at,
     expires_at)
SELECT queue, timer_id, state, timestamptz 'epoch' + due_at * interval '1 microsecond',
       timestamptz 'epoch' + next_at * interval '1 microsecond', payload::json, revision, 0, attempts, failure,
       timestamptz 'epoch' + failed_at * interval '1 microsecond',
       timestamptz 'epoch' + scheduled_at * interval '1 microsecond',
       timestamptz 'epoch' + expires_at * interval '1 microsecond'
FROM json_to_recordset($1::text::json)
        AS input (queue text, timer_id uuid, state smallint, due_at bigint, next_at bigint, payload text, revision bigint,
                  attempts int, failure text, failed_at bigint, scheduled_at bigint, expires_at bigint)
ORDER BY queue, timer_id
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
