-- Shuts out whoever has a lower fence, and reads the steps of a run. $1 run id, $2 fence, $3 kept for (µs) or NULL for ever,
-- $4 now, if it is not the server's.
-- A row without a name: somebody has a higher fence. Those that were written are counted by the caller against those seen:
-- a higher fence may have come meanwhile.
WITH clock AS MATERIALIZED (
    SELECT coalesce($4::timestamptz, clock_timestamp()) AS now
), higher AS MATERIALIZED (
    SELECT FROM annals_steps WHERE run_id = $1 AND fence > $2 LIMIT 1
), seen AS MATERIALIZED (
    SELECT count(*) AS steps FROM annals_steps WHERE run_id = $1
), opened AS (
    UPDATE annals_steps
    SET fence = $2, expires_at = clock.now + $3::bigint * interval '1 microsecond'
    FROM clock
    WHERE run_id = $1 AND fence <= $2 AND NOT EXISTS (SELECT FROM higher)
    RETURNING name, ordinal, state, result::text AS result
)
SELECT name, ordinal, state, result, (SELECT steps FROM seen) AS steps FROM opened
UNION ALL
SELECT NULL, NULL, NULL, NULL, NULL FROM higher
