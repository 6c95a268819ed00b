-- Reads what stands where receipts are to be written: each one's receipt, and who wrote the last event it names.
-- $1 aggregate ids, $2 idempotency keys, $3 last sequences. One row for each, with its number (from 1), in no order.
SELECT input.number, receipt.*, NULL::bigint AS position, last.command_id AS last_command_id
FROM unnest($1::uuid[], $2::text[], $3::bigint[]) WITH ORDINALITY
        AS input (aggregate_id, idempotency_key, last_event, number)
    LEFT JOIN LATERAL (
        -- OFFSET 0 keeps the look-up one per row.
        SELECT command_id, fingerprint, outcome, first_sequence, last_sequence, rejection, recorded_at, expires_at
        FROM annals_receipts
        WHERE annals_receipts.aggregate_id = input.aggregate_id
          AND annals_receipts.idempotency_key = input.idempotency_key
        OFFSET 0
    ) AS receipt ON true
    LEFT JOIN LATERAL (
        SELECT command_id
        FROM annals_events
        WHERE annals_events.aggregate_id = input.aggregate_id AND annals_events.sequence = input.last_event
        OFFSET 0
    ) AS last ON true
