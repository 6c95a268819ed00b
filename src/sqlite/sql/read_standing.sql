-- Tells where each append of a batch stands, and where the log ends. For each: ?1 its number in the batch, ?2 aggregate id,
-- ?3 idempotency key or null, ?4 sequence at which an earlier attempt would have begun or null.
-- One row per append, in no order. A receipt may have expired: it is read by itself.
-- The VALUES row is repeated to ask for many appends with one statement; rows that are left null ask for nothing.
WITH input (number, aggregate_id, idempotency_key, begins_at) AS (
    VALUES (?, ?, ?, ?)
)
SELECT input.number,
       (SELECT max(position) FROM annals_events) AS log_head,
       head.sequence       AS version,
       head.aggregate_type AS aggregate_type,
       head.command_id     AS head_command_id,
       CASE WHEN input.begins_at <= head.sequence THEN (
           SELECT earlier.command_id FROM annals_events AS earlier
           WHERE earlier.aggregate_id = input.aggregate_id AND earlier.sequence = input.begins_at
       ) END AS earlier_command_id,
       input.idempotency_key IS NOT NULL AND EXISTS (
           SELECT 1 FROM annals_receipts AS receipt
           WHERE receipt.aggregate_id = input.aggregate_id AND receipt.idempotency_key = input.idempotency_key
       ) AS has_receipt
FROM input
LEFT JOIN annals_events AS head
    ON head.position = (
        SELECT position FROM annals_events
        WHERE aggregate_id = input.aggregate_id
        ORDER BY sequence DESC
        LIMIT 1
    )
WHERE input.number IS NOT NULL
