-- Deletes stored answers that have expired and that nobody is at work on. $1 how many, $2 now, if it is not the server's.
-- Passes over rows that others hold; the condition is looked at again under the lock.
-- Differs because SQLite has no locks on rows.
WITH clock AS MATERIALIZED (
    SELECT coalesce($2::timestamptz, clock_timestamp()) AS now
)
DELETE FROM annals_responses
WHERE ctid = ANY (ARRAY(
    SELECT ctid
    FROM annals_responses
    WHERE expires_at <= (SELECT now FROM clock)
      AND coalesce(lease_expires_at <= (SELECT now FROM clock), true)
    ORDER BY expires_at
    LIMIT $1
    FOR UPDATE SKIP LOCKED
))
