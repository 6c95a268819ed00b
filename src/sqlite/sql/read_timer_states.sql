-- Tells how timers stand. ?1 queue, ?2 ids in hexadecimal digits as JSON.
SELECT timer.timer_id, timer.state
FROM json_each(?2) AS input
CROSS JOIN annals_timers AS timer ON timer.queue = ?1 AND timer.timer_id = unhex(input.value)
