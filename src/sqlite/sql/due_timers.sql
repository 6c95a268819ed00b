-- Finds what is due, in the order of its time. ?1 queue, ?2 now (µs), ?3 how many.
-- Differs because on PostgreSQL the claim finds it, in its own statement.
SELECT timer_id
FROM annals_timers
WHERE queue = ?1 AND state = 0 AND next_at <= ?2
ORDER BY next_at
LIMIT ?3
