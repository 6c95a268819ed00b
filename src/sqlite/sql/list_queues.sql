-- Lists the queues that have timers, by name. ?1 after this one, ?2 how many.
-- From one name to the next by the key, however many timers a queue has.
WITH RECURSIVE queues (queue) AS (
    SELECT (SELECT queue FROM annals_timers WHERE queue > ?1 ORDER BY queue LIMIT 1)
    UNION ALL
    SELECT (SELECT queue FROM annals_timers WHERE queue > queues.queue ORDER BY queue LIMIT 1)
    FROM queues
    WHERE queues.queue IS NOT NULL
)
SELECT queue FROM queues WHERE queue IS NOT NULL LIMIT ?2
