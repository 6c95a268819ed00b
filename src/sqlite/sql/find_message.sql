-- Finds a message that was taken in and is not forgotten. ?1 consumer, ?2 message id, ?3 now (µs).
SELECT content, received_at
FROM annals_inbox
WHERE consumer = ?1 AND message_id = ?2 AND (expires_at IS NULL OR expires_at > ?3)
