-- Counts what there is to do in a queue. $1 queue, $2 now, if it is not the server's, $3 up to how many.
-- What is due and what is held comes first: it is counted also where more wait than are counted.
WITH clock AS MATERIALIZED (
    SELECT coalesce($2::timestamptz, clock_timestamp()) AS now
)
SELECT count(*) AS waiting,
       count(*) FILTER (WHERE next_at <= (SELECT now FROM clock)) AS due,
       count(*) FILTER (WHERE lease_expires_at > (SELECT now FROM clock)) AS held,
       (extract(epoch FROM (SELECT now FROM clock) - min(next_at)) * 1000000)::bigint AS lag,
       (SELECT count(*) FROM (SELECT FROM annals_timers WHERE queue = $1 AND state = 1 LIMIT $3) AS parked) AS parked
FROM (
    SELECT next_at, lease_expires_at
    FROM annals_timers
    WHERE queue = $1 AND state = 0
    ORDER BY next_at
    LIMIT $3
) AS waiting
