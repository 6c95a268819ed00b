-- Takes a call up that nobody sends. ?1 client, ?2 key, ?3 holder, ?4 lease expires at (µs), ?5 now (µs).
UPDATE annals_client_keys SET takes = takes + (holder IS NOT ?3), holder = ?3, lease_expires_at = ?4
WHERE client = ?1 AND idempotency_key = ?2 AND (holder IS NULL OR holder = ?3 OR lease_expires_at <= ?5)
RETURNING idempotency_key, method, url, created_at, takes, lease_expires_at, headers, body
