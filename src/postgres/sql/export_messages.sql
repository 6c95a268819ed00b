-- Reads messages that were taken in, each as JSON. $1 after consumer, $2 after message id, $3 limit.
SELECT json_build_object('consumer', consumer, 'message_id', message_id, 'content', encode(content, 'hex'),
                         'received_at', (extract(epoch FROM received_at) * 1000000)::bigint,
                         'expires_at', (extract(epoch FROM expires_at) * 1000000)::bigint)::text AS row
FROM annals_inbox
WHERE (consumer, message_id) > ($1::text COLLATE "C", $2::text COLLATE "C")
ORDER BY consumer, message_id
LIMIT $3::bigint
