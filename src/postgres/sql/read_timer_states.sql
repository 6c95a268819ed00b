-- Tells how timers stand. $1 queue, $2 ids.
SELECT timer_id, state
FROM annals_timers
WHERE queue = $1 AND timer_id = ANY ($2::uuid[])
