-- Reads a receipt that has not expired. $1 aggregate id, $2 idempotency key, $3 now.
SELECT receipt.command_id, receipt.fingerprint, receipt.outcome, receipt.first_sequence, receipt.last_sequence,
       receipt.rejection, receipt.recorded_at, receipt.expires_at,
       last.position AS position
FROM annals_receipts AS receipt
LEFT JOIN annals_events AS last
    ON last.aggregate_id = receipt.aggregate_id
   AND last.sequence = receipt.last_sequence
   AND receipt.last_sequence >= receipt.first_sequence
WHERE receipt.aggregate_id = $1
  AND receipt.idempotency_key = $2
  AND (receipt.expires_at IS NULL OR receipt.expires_at > $3)
