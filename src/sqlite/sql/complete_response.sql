-- Stores an answer. ?1 scope, ?2 key, ?3 fence, ?4 status, ?5 headers, ?6 kind of body, ?7 body, ?8 expires at (µs), ?9 now (µs).
-- An answer that is there already under this fence stays as it is. A finished request need not be kept.
UPDATE annals_responses
SET state = 'completed',
    lease_expires_at = NULL,
    completed_at = CASE state WHEN 'running' THEN ?9 ELSE completed_at END,
    expires_at = CASE state WHEN 'running' THEN ?8 ELSE expires_at END,
    status = CASE state WHEN 'running' THEN ?4 ELSE status END,
    headers = CASE state WHEN 'running' THEN ?5 ELSE headers END,
    body_kind = CASE state WHEN 'running' THEN ?6 ELSE body_kind END,
    body = CASE state WHEN 'running' THEN ?7 ELSE body END,
    request = NULL,
    request_body = NULL
WHERE scope = ?1 AND idempotency_key = ?2 AND fence = ?3 AND state <> 'dead'
