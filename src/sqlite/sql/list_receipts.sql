-- Lists receipts of an aggregate in the order of their keys, expired ones as well. ?1 aggregate id, ?2 after key,
-- ?3 outcome or null for any, ?4 how many.
SELECT receipt.idempotency_key, receipt.command_id, receipt.fingerprint, receipt.outcome, receipt.first_sequence,
       receipt.last_sequence, receipt.rejection, receipt.recorded_at, receipt.expires_at,
       last.position AS position
FROM annals_receipts AS receipt
LEFT JOIN annals_events AS last
    ON last.aggregate_id = receipt.aggregate_id
   AND last.sequence = receipt.last_sequence
   AND receipt.last_sequence >= receipt.first_sequence
WHERE receipt.aggregate_id = ?1
  AND receipt.idempotency_key > ?2
  AND (?3 IS NULL OR receipt.outcome = ?3)
ORDER BY receipt.idempotency_key
LIMIT +?4
