-- Keeps a call with the right to send it, or takes it up. $1 client, $2 key, $3 fingerprint, $4 method, $5 URL,
-- $6 headers, $7 body, $8 holder, $9 length of the lease (µs), $10 now, or NULL for the server's clock.
-- No row where it is another request, or somebody else sends it. The same holder once more changes nothing.
INSERT INTO annals_client_keys AS kept (client, idempotency_key, fingerprint, method, url, headers, body, created_at, takes, holder,
                                        lease_expires_at)
VALUES ($1, $2, $3, $4, $5, $6::text::json, $7, COALESCE($10::timestamptz, clock_timestamp()), 1, $8,
        COALESCE($10::timestamptz, clock_timestamp()) + $9::bigint * interval '1 microsecond')
ON CONFLICT (client, idempotency_key) DO UPDATE SET
    takes = kept.takes + (kept.holder IS DISTINCT FROM $8)::integer,
    holder = $8,
    lease_expires_at = excluded.lease_expires_at
WHERE kept.fingerprint = $3
  AND (kept.holder IS NULL OR kept.holder = $8 OR kept.lease_expires_at <= COALESCE($10::timestamptz, clock_timestamp()))
RETURNING idempotency_key, method, url, created_at, takes, lease_expires_at,
          COALESCE($10::timestamptz, clock_timestamp()) AS now
