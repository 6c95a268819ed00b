-- Gives signs of life, the fence of each timer that is still held. $1 queues, $2 ids, $3 fences, $4 lease (µs), $5 now, if it is not
-- the server's.
-- Passes over rows that others have locked: where one fires within a transaction, the others' leases must not wait for its end.
-- OFFSET 0 and FOR UPDATE have each be looked up by itself; IS TRUE keeps it off the index by time.
-- Differs because SQLite has no locks on rows.
WITH clock AS MATERIALIZED (
    SELECT coalesce($5::timestamptz, clock_timestamp()) AS now
), given AS MATERIALIZED (
    SELECT * FROM unnest($1::text[], $2::uuid[], $3::bigint[]) AS given (queue, timer_id, fence)
), held AS MATERIALIZED (
    SELECT timer.fence
    FROM given CROSS JOIN LATERAL (
        SELECT fence
        FROM annals_timers
        WHERE queue = given.queue AND timer_id = given.timer_id AND fence = given.fence AND (state = 0) IS TRUE
          AND owner IS NOT NULL
        OFFSET 0
    ) AS timer
), free AS MATERIALIZED (
    SELECT timer.place
    FROM given CROSS JOIN LATERAL (
        SELECT ctid AS place
        FROM annals_timers
        WHERE queue = given.queue AND timer_id = given.timer_id AND fence = given.fence AND (state = 0) IS TRUE
          AND owner IS NOT NULL
        FOR UPDATE SKIP LOCKED
    ) AS timer
), renewed AS (
    UPDATE annals_timers
    SET lease_expires_at = clock.now + $4::bigint * interval '1 microsecond', renewed_at = clock.now,
        next_at = clock.now + $4::bigint * interval '1 microsecond'
    FROM clock
    WHERE ctid = ANY (ARRAY(SELECT place FROM free))
)
SELECT fence FROM held
