-- Takes a message in, also in the place of a forgotten one. ?1 consumer, ?2 message id, ?3 content, ?4 now (µs), ?5 expires at (µs)
-- or NULL for never.
-- Differs because PostgreSQL finds out in the same statement whether it is new: here the one writer has looked before.
INSERT INTO annals_inbox (consumer, message_id, content, received_at, expires_at)
SELECT ?1, ?2, ?3, ?4, ?5
WHERE true
ON CONFLICT (consumer, message_id) DO UPDATE SET
    content = excluded.content,
    received_at = excluded.received_at,
    expires_at = excluded.expires_at
