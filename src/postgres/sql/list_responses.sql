-- Lists rows by scope and key. $1 scope and $2 key before the first, $3 last scope, $4 state or NULL for all, $5 how many.
SELECT scope, idempotency_key, state, fence, run_id, attempts, created_at, lease_expires_at, status, expires_at, operation,
       operator, operated_at
FROM annals_responses
WHERE (scope, idempotency_key) > ($1, $2) AND scope <= $3 AND ($4::text IS NULL OR state = $4::text)
ORDER BY scope, idempotency_key
LIMIT $5
