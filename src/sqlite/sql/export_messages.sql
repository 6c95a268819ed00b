-- Reads messages that were taken in, each as JSON. ?1 after consumer, ?2 after message id, ?3 limit.
SELECT json_object('consumer', consumer, 'message_id', message_id, 'content', lower(hex(content)),
                   'received_at', received_at, 'expires_at', expires_at) AS row
FROM annals_inbox
WHERE (consumer, message_id) > (?1, ?2)
ORDER BY consumer, message_id
LIMIT +?3
