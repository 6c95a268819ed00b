-- Deletes messages from inboxes that have expired. ?1 how many, ?2 now (µs).
DELETE FROM annals_inbox
WHERE (consumer, message_id) IN (
    SELECT consumer, message_id
    FROM annals_inbox
    WHERE expires_at <= ?2
    ORDER BY expires_at
    LIMIT ?1
)
