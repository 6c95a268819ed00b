-- Takes a message in, or tells what the inbox knows of it. $1 consumer, $2 message id, $3 content, $4 kept for (µs) or NULL for
-- ever, $5 source or NULL, $6 sequence, $7 whether there is a message for every sequence, $8 now, if it is not the server's.
-- One row: 'new', 'known', 'passed', 'early'; 'moved' where somebody was faster, and 'overtaken' where a later message of the
-- source was: then the message is in and has to be withdrawn.
-- The last place of a source is locked before anything is written, so that two of its messages wait for each other. Where it
-- has none yet there is nothing to lock, and the second finds out when it sets its own.
-- Differs because SQLite has one writer: there it looks first, by statements of their own.
WITH clock AS MATERIALIZED (
    SELECT coalesce($8::timestamptz, clock_timestamp()) AS now
), found AS MATERIALIZED (
    SELECT content, received_at
    FROM annals_inbox
    WHERE consumer = $1 AND message_id = $2 AND (expires_at IS NULL OR expires_at > (SELECT now FROM clock))
), place AS MATERIALIZED (
    SELECT sequence
    FROM annals_inbox_places
    WHERE consumer = $1 AND source = $5::uuid AND NOT EXISTS (SELECT FROM found)
    FOR NO KEY UPDATE
), last AS MATERIALIZED (
    SELECT coalesce((SELECT sequence FROM place), 0) AS sequence
), judged AS MATERIALIZED (
    SELECT CASE
        WHEN EXISTS (SELECT FROM found) THEN 'known'
        WHEN $6::bigint <= last.sequence THEN 'passed'
        WHEN $7::boolean AND $6::bigint > last.sequence + 1 THEN 'early'
        ELSE 'new'
    END AS outcome, last.sequence
    FROM last
), taken AS (
    INSERT INTO annals_inbox AS message (consumer, message_id, content, received_at, expires_at)
    SELECT $1, $2, $3::bytea, clock.now, clock.now + $4::bigint * interval '1 microsecond'
    FROM clock
    WHERE (SELECT outcome FROM judged) = 'new'
    ON CONFLICT (consumer, message_id) DO UPDATE SET
        content = excluded.content,
        received_at = excluded.received_at,
        expires_at = excluded.expires_at
    WHERE message.expires_at <= excluded.received_at
    RETURNING consumer
), placed AS (
    INSERT INTO annals_inbox_places AS place (consumer, source, sequence)
    SELECT consumer, $5::uuid, $6::bigint
    FROM taken
    WHERE $5::uuid IS NOT NULL
    ON CONFLICT (consumer, source) DO UPDATE SET sequence = excluded.sequence
    WHERE place.sequence < excluded.sequence AND (NOT $7::boolean OR place.sequence + 1 = excluded.sequence)
    RETURNING sequence
)
SELECT CASE
        WHEN judged.outcome <> 'new' THEN judged.outcome
        WHEN NOT EXISTS (SELECT FROM taken) THEN 'moved'
        WHEN $5::uuid IS NOT NULL AND NOT EXISTS (SELECT FROM placed) THEN 'overtaken'
        ELSE 'new'
    END AS outcome,
    judged.sequence,
    (SELECT content FROM found) AS content,
    (SELECT received_at FROM found) AS received_at
FROM judged
