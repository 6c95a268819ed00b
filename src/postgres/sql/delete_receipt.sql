-- Removes a receipt that has expired, so that its key can be used anew. $1 aggregate id, $2 idempotency key, $3 now.
-- Differs because SQLite's one writer replaces it where it stands.
DELETE FROM annals_receipts
WHERE aggregate_id = $1 AND idempotency_key = $2 AND expires_at <= $3
