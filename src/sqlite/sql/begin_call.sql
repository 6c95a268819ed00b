-- Keeps a call with the right to send it, or takes it up. ?1 client, ?2 key, ?3 fingerprint, ?4 method, ?5 URL,
-- ?6 headers, ?7 body, ?8 holder, ?9 lease expires at (µs), ?10 now (µs).
-- No row where it is another request, or somebody else sends it. The same holder once more changes nothing.
INSERT INTO annals_client_keys AS kept (client, idempotency_key, fingerprint, method, url, headers, body, created_at, takes, holder,
                                        lease_expires_at)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?10, 1, ?8, ?9)
ON CONFLICT (client, idempotency_key) DO UPDATE SET
    takes = kept.takes + (kept.holder IS NOT ?8),
    holder = ?8,
    lease_expires_at = ?9
WHERE kept.fingerprint = ?3 AND (kept.holder IS NULL OR kept.holder = ?8 OR kept.lease_expires_at <= ?10)
RETURNING idempotency_key, method, url, created_at, takes, lease_expires_at
