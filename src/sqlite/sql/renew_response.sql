-- Gives a sign of life. ?1 scope, ?2 key, ?3 fence, ?4 lease expires at (µs), ?5 row expires at (µs).
UPDATE annals_responses
SET lease_expires_at = ?4, expires_at = ?5
WHERE scope = ?1 AND idempotency_key = ?2 AND fence = ?3 AND state = 'running'
