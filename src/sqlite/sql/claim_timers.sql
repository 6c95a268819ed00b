-- Takes timers, one after the other. ?1 queue, ?2 owner, ?3 lease expires at (µs), ?4 ids in hexadecimal digits as JSON, ?5 now (µs),
-- ?6 the fence of the first.
-- The queue is compared as if it came with the id: else the whole queue would be walked through, and not looked up by id.
UPDATE annals_timers AS timer
SET fence = ?6 + input.key, attempts = attempts + 1, owner = ?2, lease_expires_at = ?3, renewed_at = ?5, next_at = ?3
FROM json_each(?4) AS input
WHERE timer.queue = coalesce(?1, input.value) AND timer.timer_id = unhex(input.value)
RETURNING queue, timer_id, state, due_at, next_at, payload, revision, fence, attempts, owner, lease_expires_at, renewed_at,
          failure, failed_at, scheduled_at
