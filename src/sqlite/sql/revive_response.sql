-- Lets a request be tried anew that was given up. ?1 scope, ?2 key, ?3 what is done, ?4 by whom, ?5 now (µs), ?6 fence.
-- Whoever had it last is shut out.
UPDATE annals_responses
SET state = 'running', lease_expires_at = ?5, fence = ?6, attempts = 0, completed_at = NULL, status = NULL, headers = NULL,
    body_kind = NULL, body = NULL, operation = ?3, operator = ?4, operated_at = ?5
WHERE scope = ?1 AND idempotency_key = ?2 AND state = 'dead'
