-- Ends a lease for whoever goes on with the same request. ?1 scope, ?2 key, ?3 fence, ?4 now (µs).
-- The attempt does not count, and is not taken back twice.
UPDATE annals_responses
SET lease_expires_at = min(lease_expires_at, ?4), attempts = max(attempts - (lease_expires_at > ?4), 0)
WHERE scope = ?1 AND idempotency_key = ?2 AND fence = ?3 AND state = 'running'
