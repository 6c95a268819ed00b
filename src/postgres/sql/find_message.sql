-- Finds a message that was taken in and is not forgotten. $1 consumer, $2 message id, $3 now, if it is not the server's.
WITH clock AS MATERIALIZED (
    SELECT coalesce($3::timestamptz, clock_timestamp()) AS now
)
SELECT content, received_at
FROM annals_inbox
WHERE consumer = $1 AND message_id = $2 AND (expires_at IS NULL OR expires_at > (SELECT now FROM clock))
