-- Gives a sign of life for a call. ?1 client, ?2 key, ?3 holder, ?4 lease expires at (µs).
UPDATE annals_client_keys SET lease_expires_at = ?4 WHERE client = ?1 AND idempotency_key = ?2 AND holder = ?3
