-- Gives a request up that nobody is at work on. ?1 scope, ?2 key, ?3 fence, ?4 status, ?5 headers, ?6 kind of body, ?7 body,
-- ?8 expires at (µs), ?9 now (µs).
-- The request is kept: an operator may have it tried anew.
UPDATE annals_responses
SET state = 'dead', lease_expires_at = NULL, completed_at = ?9, expires_at = ?8, status = ?4, headers = ?5, body_kind = ?6,
    body = ?7
WHERE scope = ?1 AND idempotency_key = ?2 AND fence = ?3 AND state = 'running' AND lease_expires_at <= ?9
