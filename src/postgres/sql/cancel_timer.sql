-- Cancels a timer, or notes that it is cancelled before it is set, and shuts out whoever holds it; tells how it stood before.
-- $1 queue, $2 id, $3 kept for (µs), $4 now, if it is not the server's.
-- One row: 'was', or 'new' where there was none; none where one was committed meanwhile. What has fired or was cancelled stays
-- as it is until its time is over. Differs because SQLite has one writer: there it is looked for by a statement of its own.
WITH clock AS MATERIALIZED (
    SELECT coalesce($4::timestamptz, clock_timestamp()) AS now
), found AS MATERIALIZED (
    SELECT timer.*, (timer.expires_at <= clock.now) IS TRUE AS has_expired
    FROM clock, annals_timers AS timer
    WHERE timer.queue = $1 AND timer.timer_id = $2
    FOR UPDATE OF timer
), cancelled AS (
    INSERT INTO annals_timers AS timer (
        queue, timer_id, state, due_at, next_at, revision, fence, attempts, scheduled_at, expires_at
    )
    SELECT $1, $2, 3, clock.now, clock.now, 1, 0, 0, clock.now, clock.now + $3::bigint * interval '1 microsecond'
    FROM clock LEFT JOIN found ON true
    WHERE found.timer_id IS NULL OR found.state < 2 OR found.has_expired
    ON CONFLICT (queue, timer_id) DO UPDATE SET
        state = 3,
        revision = timer.revision + 1,
        owner = NULL,
        lease_expires_at = NULL,
        renewed_at = NULL,
        expires_at = excluded.expires_at
    WHERE EXISTS (SELECT FROM found)
    RETURNING timer_id
)
SELECT 'was' AS outcome, queue, timer_id, state, due_at, next_at, payload::text AS payload, revision, attempts, owner,
       lease_expires_at, renewed_at, failure, failed_at, scheduled_at
FROM found
WHERE NOT has_expired
UNION ALL
SELECT 'new', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
FROM cancelled
WHERE NOT EXISTS (SELECT FROM found WHERE NOT has_expired)
