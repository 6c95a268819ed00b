-- Reads stored requests whose lease has lapsed, the ones that lapsed first before others. ?1 lapsed by (µs), ?2 how many,
-- ?3 now (µs).
-- The + keeps it off the index by the end of the row's time.
SELECT scope, idempotency_key, fingerprint, recipe, attempts, request, request_body
FROM annals_responses
WHERE request IS NOT NULL AND state = 'running' AND lease_expires_at <= ?1 AND +expires_at > ?3
ORDER BY lease_expires_at
LIMIT ?2
