-- Ends the lease of whoever is at work, and shuts them out. ?1 scope, ?2 key, ?3 what is done, ?4 by whom, ?5 now (µs),
-- ?6 fence.
UPDATE annals_responses
SET lease_expires_at = ?5, fence = ?6, operation = ?3, operator = ?4, operated_at = ?5
WHERE scope = ?1 AND idempotency_key = ?2 AND state = 'running'
