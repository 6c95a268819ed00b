-- Reads receipts in the order of aggregates and keys, expired ones as well, for the check of the whole log.
-- ?1 after aggregate id, ?2 after key (bytes), ?3 limit.
SELECT aggregate_id, CAST(idempotency_key AS BLOB) AS idempotency_key, command_id, fingerprint,
       CAST(outcome AS BLOB) AS outcome, first_sequence, last_sequence, CAST(rejection AS BLOB) AS rejection,
       expires_at IS NOT NULL AS expires
FROM annals_receipts AS receipt
WHERE (receipt.aggregate_id, receipt.idempotency_key) > (?1, CAST(?2 AS TEXT))
ORDER BY receipt.aggregate_id, receipt.idempotency_key
LIMIT +?3
