-- Deletes timers that have fired or were cancelled and have expired. ?1 how many, ?2 now (µs).
DELETE FROM annals_timers
WHERE (queue, timer_id) IN (
    SELECT queue, timer_id
    FROM annals_timers
    WHERE expires_at <= ?2
    ORDER BY expires_at
    LIMIT ?1
)
