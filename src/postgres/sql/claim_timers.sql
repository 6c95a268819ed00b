-- Takes what is due, in the order of its time, and tells when the next may be looked at. $1 queue, $2 owner, $3 lease (µs),
-- $4 how many, $5 now, if it is not the server's.
-- A row for each that was taken, and one without an id that has how long it is until the next (µs). Passes over rows that others
-- hold: whether more are due is told by one that could be had.
-- Differs because SQLite has one writer: there fences are drawn and the next is looked for by statements of their own.
WITH clock AS MATERIALIZED (
    SELECT coalesce($5::timestamptz, clock_timestamp()) AS now
), free AS MATERIALIZED (
    SELECT timer_id, next_at
    FROM annals_timers
    WHERE queue = $1 AND state = 0 AND next_at <= (SELECT now FROM clock)
    ORDER BY next_at
    LIMIT $4::bigint + 1
    FOR UPDATE SKIP LOCKED
), due AS MATERIALIZED (
    SELECT timer_id, next_at FROM free LIMIT $4::bigint
), taken AS (
    UPDATE annals_timers AS timer
    SET fence = nextval('annals_fences'), attempts = timer.attempts + 1, owner = $2,
        lease_expires_at = clock.now + $3::bigint * interval '1 microsecond', renewed_at = clock.now,
        next_at = clock.now + $3::bigint * interval '1 microsecond'
    FROM clock, due
    WHERE timer.queue = $1 AND timer.timer_id = due.timer_id
    RETURNING timer.*, due.next_at AS was_due_at
)
SELECT NULL::bigint AS next, queue, timer_id, state, due_at, next_at, payload::text AS payload, revision, fence, attempts, owner,
       lease_expires_at, renewed_at, failure, failed_at, scheduled_at, was_due_at
FROM taken
UNION ALL
SELECT CASE WHEN (SELECT count(*) FROM free) > $4::bigint THEN 0
            ELSE least((SELECT (extract(epoch FROM next_at - clock.now) * 1000000)::bigint
                        FROM annals_timers
                        WHERE queue = $1 AND state = 0 AND next_at > clock.now
                        ORDER BY next_at
                        LIMIT 1),
                       CASE WHEN EXISTS (SELECT FROM due) THEN $3::bigint END) END,
       NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
FROM clock
