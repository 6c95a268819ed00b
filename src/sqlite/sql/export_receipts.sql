-- Reads receipts in the order of aggregates and keys, expired ones as well, whose last event stands up to a position.
-- ?1 after aggregate id, ?2 after key, ?3 up to position, ?4 limit.
SELECT aggregate_id, idempotency_key, command_id, fingerprint, outcome, first_sequence, last_sequence, rejection,
       NULL AS position, recorded_at, expires_at
FROM annals_receipts AS receipt
WHERE (aggregate_id, idempotency_key) > (?1, ?2)
  AND (last_sequence = 0
       OR (SELECT event.position FROM annals_events AS event
           WHERE event.aggregate_id = receipt.aggregate_id AND event.sequence = receipt.last_sequence) <= ?3)
ORDER BY aggregate_id, idempotency_key
LIMIT +?4
