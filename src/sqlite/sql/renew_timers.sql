-- Gives signs of life, the fence of each timer that is still held. ?1 queues, ids in hexadecimal digits and fences as JSON,
-- ?2 lease expires at (µs), ?3 now (µs).
-- The plus keeps it off the index by time.
UPDATE annals_timers AS timer
SET lease_expires_at = ?2, renewed_at = ?3, next_at = ?2
FROM json_each(?1) AS input
WHERE timer.queue = input.value ->> 0 AND timer.timer_id = unhex(input.value ->> 1) AND timer.fence = input.value ->> 2
  AND +timer.state = 0 AND timer.owner IS NOT NULL
RETURNING fence
