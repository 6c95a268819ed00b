-- Counts what there is to do in a queue. ?1 queue, ?2 now (µs), ?3 up to how many.
-- What is due and what is held comes first: it is counted also where more wait than are counted.
SELECT count(*) AS waiting,
       count(*) FILTER (WHERE next_at <= ?2) AS due,
       count(*) FILTER (WHERE lease_expires_at > ?2) AS held,
       max(0, ?2 - min(next_at)) AS lag,
       (SELECT count(*) FROM (SELECT 1 FROM annals_timers WHERE queue = ?1 AND state = 1 LIMIT ?3) AS bounded) AS parked
FROM (
    SELECT next_at, lease_expires_at
    FROM annals_timers
    WHERE queue = ?1 AND state = 0
    ORDER BY next_at
    LIMIT ?3
) AS bounded
