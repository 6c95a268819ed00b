-- Takes a call up that nobody sends. $1 client, $2 key, $3 holder, $4 length of the lease (µs), $5 now, or NULL for the
-- server's clock.
UPDATE annals_client_keys SET
    takes = takes + (holder IS DISTINCT FROM $3)::integer,
    holder = $3,
    lease_expires_at = COALESCE($5::timestamptz, clock_timestamp()) + $4::bigint * interval '1 microsecond'
WHERE client = $1 AND idempotency_key = $2
  AND (holder IS NULL OR holder = $3 OR lease_expires_at <= COALESCE($5::timestamptz, clock_timestamp()))
RETURNING idempotency_key, method, url, created_at, takes, lease_expires_at,
          COALESCE($5::timestamptz, clock_timestamp()) AS now, headers, body
