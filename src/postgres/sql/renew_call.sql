-- Gives a sign of life for a call. $1 client, $2 key, $3 holder, $4 length of the lease (µs), $5 now, or NULL for the
-- server's clock.
UPDATE annals_client_keys
SET lease_expires_at = COALESCE($5::timestamptz, clock_timestamp()) + $4::bigint * interval '1 microsecond'
WHERE client = $1 AND idempotency_key = $2 AND holder = $3
