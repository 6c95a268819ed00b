-- Deletes messages from inboxes that have expired. $1 how many, $2 now, if it is not the server's.
-- Passes over rows that others hold; the condition is looked at again under the lock.
-- Differs because SQLite has no locks on rows.
WITH clock AS MATERIALIZED (
    SELECT coalesce($2::timestamptz, clock_timestamp()) AS now
)
DELETE FROM annals_inbox
WHERE ctid = ANY (ARRAY(
    SELECT ctid
    FROM annals_inbox
    WHERE expires_at <= (SELECT now FROM clock)
    ORDER BY expires_at
    LIMIT $1
    FOR UPDATE SKIP LOCKED
))
