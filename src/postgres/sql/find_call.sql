-- Tells what stands under a key, and who sends it. $1 client, $2 key, $3 now, or NULL for the server's clock.
SELECT fingerprint, lease_expires_at, COALESCE($3::timestamptz, clock_timestamp()) AS now
FROM annals_client_keys WHERE client = $1 AND idempotency_key = $2
