-- Writes messages that were taken in elsewhere, but for those that are there. $1 a JSON array of them.
INSERT INTO annals_inbox (consumer, message_id, content, received_at, expires_at)
SELECT consumer, message_id, decode(content, 'hex'), timestamptz 'epoch' + received_at * interval '1 microsecond',
       timestamptz 'epoch' + expires_at * interval '1 microsecond'
FROM json_to_recordset($1::text::json)
        AS input (consumer text, message_id text, content text, received_at bigint, expires_at bigint)
ORDER BY consumer, message_id
ON CONFLICT DO NOTHING
