-- Ends a finished answer's time. ?1 scope, ?2 key, ?3 what is done, ?4 by whom, ?5 now (µs).
UPDATE annals_responses
SET expires_at = ?5, operation = ?3, operator = ?4, operated_at = ?5
WHERE scope = ?1 AND idempotency_key = ?2 AND state IN ('completed', 'dead')
