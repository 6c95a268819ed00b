-- Writes messages that were taken in elsewhere, but for those that are there. ?1 a JSON array of them.
INSERT INTO annals_inbox (consumer, message_id, content, received_at, expires_at)
SELECT value ->> 'consumer', value ->> 'message_id', unhex(value ->> 'content'), value ->> 'received_at',
       value ->> 'expires_at'
FROM json_each(?1)
WHERE true
ON CONFLICT DO NOTHING
