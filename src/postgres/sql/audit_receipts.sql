-- Reads receipts in the order of aggregates and keys, expired ones as well, for the check of the whole log.
-- $1 after aggregate id, $2 after key, $3 limit.
SELECT aggregate_id, idempotency_key, command_id, fingerprint, outcome, first_sequence, last_sequence, rejection,
       expires_at IS NOT NULL AS expires
FROM annals_receipts
WHERE (aggregate_id, idempotency_key) > ($1::uuid, $2::text COLLATE "C")
ORDER BY aggregate_id, idempotency_key
LIMIT $3::bigint
