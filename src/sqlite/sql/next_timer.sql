-- Tells when the next timer may be looked at. ?1 queue.
-- Differs because on PostgreSQL the claim tells it, in its own statement.
SELECT next_at
FROM annals_timers
WHERE queue = ?1 AND state = 0
ORDER BY next_at
LIMIT 1
