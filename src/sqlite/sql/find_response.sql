-- Reads what stands under a key. ?1 scope, ?2 key, ?3 now (µs).
SELECT fingerprint, recipe, state, fence, attempts, lease_expires_at - ?3 AS lease_left, expires_at - ?3 AS time_left,
       status, headers, body_kind, body
FROM annals_responses
WHERE scope = ?1 AND idempotency_key = ?2
