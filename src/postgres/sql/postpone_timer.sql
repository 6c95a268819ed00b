-- Has a timer that got on be looked at again, sooner where it was woken meanwhile. $1 queue, $2 id, $3 fence, $4 the revision it
-- was taken at, $5 at, or NULL for only if it was woken, $6 now, if it is not the server's.
-- IS TRUE keeps it off the index by time.
WITH clock AS MATERIALIZED (
    SELECT coalesce($6::timestamptz, clock_timestamp()) AS now
)
UPDATE annals_timers
SET due_at = CASE WHEN revision = $4 THEN $5::timestamptz ELSE least($5::timestamptz, clock.now) END,
    next_at = CASE WHEN revision = $4 THEN $5::timestamptz ELSE least($5::timestamptz, clock.now) END,
    attempts = 0, owner = NULL, lease_expires_at = NULL, renewed_at = NULL, failure = NULL, failed_at = NULL
FROM clock
WHERE queue = $1 AND timer_id = $2 AND fence = $3 AND (state = 0) IS TRUE AND owner IS NOT NULL
  AND ($5::timestamptz IS NOT NULL OR revision <> $4)
