-- Takes the right to carry a request out. ?1 scope, ?2 key, ?3 fingerprint, ?4 recipe, ?5 run id of a new execution,
-- ?6 lease expires at (µs), ?7 row expires at (µs), ?8 attempts at the most, ?9 keys of a principal at the most, ?10 request,
-- ?11 its body, ?12 now (µs), ?13 fence, ?14 principal.
-- No row where it is refused. A principal and its endpoints lie before whatever goes on with a space or more: a control character
-- stands between them, and no principal has one. The + keeps the count off the index by time.
INSERT INTO annals_responses AS response (
    scope, idempotency_key, fingerprint, recipe, state, fence, run_id, attempts, lease_expires_at, created_at,
    expires_at, request, request_body
)
SELECT ?1, ?2, ?3, ?4, 'running', ?13, ?5, 1, ?6, ?12, ?7, ?10, ?11
WHERE CASE
    WHEN ?9 IS NULL THEN true
    WHEN EXISTS (SELECT 1 FROM annals_responses WHERE scope = ?1 AND idempotency_key = ?2) THEN true
    ELSE NOT EXISTS (SELECT 1 FROM annals_responses WHERE scope >= ?14 AND scope < ?14 || ' ' AND +expires_at > ?12
                     LIMIT 1 OFFSET ?9 - 1)
END
ON CONFLICT (scope, idempotency_key) DO UPDATE SET
    fingerprint = excluded.fingerprint,
    recipe = excluded.recipe,
    state = 'running',
    fence = excluded.fence,
    run_id = CASE WHEN response.expires_at <= excluded.created_at THEN excluded.run_id ELSE response.run_id END,
    attempts = CASE WHEN response.expires_at <= excluded.created_at THEN 1 ELSE response.attempts + 1 END,
    lease_expires_at = excluded.lease_expires_at,
    created_at = CASE WHEN response.expires_at <= excluded.created_at THEN excluded.created_at ELSE response.created_at END,
    completed_at = NULL,
    expires_at = excluded.expires_at,
    status = NULL,
    headers = NULL,
    body_kind = NULL,
    body = NULL,
    request = CASE WHEN response.expires_at <= excluded.created_at OR excluded.request IS NOT NULL
                   THEN excluded.request ELSE response.request END,
    request_body = CASE WHEN response.expires_at <= excluded.created_at OR excluded.request IS NOT NULL
                        THEN excluded.request_body ELSE response.request_body END,
    operation = CASE WHEN response.expires_at > excluded.created_at THEN response.operation END,
    operator = CASE WHEN response.expires_at > excluded.created_at THEN response.operator END,
    operated_at = CASE WHEN response.expires_at > excluded.created_at THEN response.operated_at END
WHERE coalesce(response.lease_expires_at <= excluded.created_at, true)
  AND (response.expires_at <= excluded.created_at
       OR (response.state = 'running' AND response.fingerprint = excluded.fingerprint
           AND response.recipe = excluded.recipe AND response.attempts < ?8))
RETURNING fence, run_id, attempts
