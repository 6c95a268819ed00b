-- Reads what stands where receipts are to be written: each one's receipt, and who wrote the last event it names.
-- For each: ?1 its number, ?2 aggregate id, ?3 idempotency key, ?4 last sequence. One row for each, in no order.
-- The VALUES row is repeated to ask for many with one statement; rows that are left null ask for nothing.
WITH input (number, aggregate_id, idempotency_key, last_event) AS (
    VALUES (?, ?, ?, ?)
)
SELECT input.number, receipt.command_id, receipt.fingerprint, receipt.outcome, receipt.first_sequence,
       receipt.last_sequence, receipt.rejection, receipt.recorded_at, receipt.expires_at, NULL AS position,
       last.command_id AS last_command_id
FROM input
LEFT JOIN annals_receipts AS receipt
    ON receipt.aggregate_id = input.aggregate_id AND receipt.idempotency_key = input.idempotency_key
LEFT JOIN annals_events AS last ON last.aggregate_id = input.aggregate_id AND last.sequence = input.last_event
WHERE input.number IS NOT NULL
