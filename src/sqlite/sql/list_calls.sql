-- Lists the calls of a client, the oldest first. ?1 client, ?2 created at (µs) and ?3 key of the one before, ?4 how many.
SELECT idempotency_key, method, url, created_at, takes, lease_expires_at FROM annals_client_keys
WHERE client = ?1 AND (created_at, idempotency_key) > (?2, ?3)
ORDER BY created_at, idempotency_key LIMIT ?4
