-- Tells where each append of a batch stands that was not written. For each one entry: $1 aggregate ids, $2 idempotency keys
-- or null, $3 sequences at which earlier attempts would have begun or null. $4 now.
-- One row per append, numbered from 1, in no order. The receipt's columns are null where there is none; one that has
-- expired is told apart.
-- Differs because it comes after the append and not before it: the receipt comes with it.
SELECT input.number,
       head.sequence        AS version,
       head.aggregate_type  AS aggregate_type,
       head.command_id      AS head_command_id,
       earlier.command_id   AS earlier_command_id,
       receipt.expires_at <= $4::timestamptz IS TRUE AS has_expired,
       receipt.command_id, receipt.fingerprint, receipt.outcome, receipt.first_sequence, receipt.last_sequence,
       receipt.rejection, receipt.recorded_at, receipt.expires_at, receipt.position
FROM unnest($1::uuid[], $2::text[], $3::bigint[]) WITH ORDINALITY
        AS input (aggregate_id, idempotency_key, begins_at, number)
    LEFT JOIN LATERAL (
        SELECT event.sequence, event.aggregate_type, event.command_id
        FROM annals_events AS event
        WHERE event.aggregate_id = input.aggregate_id
        ORDER BY event.sequence DESC
        LIMIT 1
    ) AS head ON true
    LEFT JOIN LATERAL (
        SELECT event.command_id
        FROM annals_events AS event
        WHERE event.aggregate_id = input.aggregate_id AND event.sequence = input.begins_at
        OFFSET 0
    ) AS earlier ON true
    LEFT JOIN LATERAL (
        SELECT kept.*, (
                   SELECT event.position FROM annals_events AS event
                   WHERE event.aggregate_id = kept.aggregate_id AND event.sequence = kept.last_sequence
                     AND kept.last_sequence >= kept.first_sequence
               ) AS position
        FROM annals_receipts AS kept
        WHERE kept.aggregate_id = input.aggregate_id AND kept.idempotency_key = input.idempotency_key
        OFFSET 0
    ) AS receipt ON true
