-- Deletes receipts that have expired. ?1 how many, ?2 now (µs).
DELETE FROM annals_receipts
WHERE (aggregate_id, idempotency_key) IN (
    SELECT aggregate_id, idempotency_key
    FROM annals_receipts
    WHERE expires_at <= ?2
    ORDER BY expires_at
    LIMIT ?1
)
