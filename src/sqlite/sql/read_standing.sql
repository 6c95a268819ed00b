-- Tells where each append of a batch stands. ?1 a JSON array with, for each, [aggregate id as hex, idempotency key or
-- null, sequence at which an earlier attempt would have begun or null], ?2 now (µs). One row per append, in order.
SELECT head.sequence       AS version,
       head.aggregate_type AS aggregate_type,
       head.command_id     AS head_command_id,
       earlier.command_id  AS earlier_command_id,
       receipt.command_id, receipt.fingerprint, receipt.outcome, receipt.first_sequence, receipt.last_sequence,
       receipt.rejection, receipt.recorded_at, receipt.expires_at,
       last.position       AS position
FROM json_each(?1) AS input
LEFT JOIN annals_events AS head
    ON head.aggregate_id = unhex(input.value ->> 0)
   AND head.sequence = (SELECT max(sequence) FROM annals_events WHERE aggregate_id = unhex(input.value ->> 0))
LEFT JOIN annals_events AS earlier
    ON earlier.aggregate_id = unhex(input.value ->> 0)
   AND earlier.sequence = input.value ->> 2
LEFT JOIN annals_receipts AS receipt
    ON receipt.aggregate_id = unhex(input.value ->> 0)
   AND receipt.idempotency_key = input.value ->> 1
   AND (receipt.expires_at IS NULL OR receipt.expires_at > ?2)
LEFT JOIN annals_events AS last
    ON last.aggregate_id = receipt.aggregate_id
   AND last.sequence = receipt.last_sequence
   AND receipt.last_sequence >= receipt.first_sequence
ORDER BY input.key
