-- Tells what stands under a key, and who sends it. ?1 client, ?2 key.
SELECT fingerprint, lease_expires_at FROM annals_client_keys WHERE client = ?1 AND idempotency_key = ?2
