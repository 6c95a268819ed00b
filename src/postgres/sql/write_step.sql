-- Moves a step forward, or makes it, and tells how it stands. $1 run id, $2 fence, $3 name, $4 ordinal, $5 state, $6 result,
-- $7 kept for (µs) or NULL for ever, $8 now, if it is not the server's.
-- One row: 'stands', 'shut out', or 'moved' where somebody was faster; none where that was committed meanwhile.
-- A step that goes on without a result keeps the one it has. One that stays where it is keeps its result, and gets the higher
-- fence: whoever has a lower one is shut out from then on. Differs because SQLite has one writer.
WITH clock AS MATERIALIZED (
    SELECT coalesce($8::timestamptz, clock_timestamp()) AS now
), higher AS MATERIALIZED (
    SELECT FROM annals_steps WHERE run_id = $1 AND fence > $2 LIMIT 1
), found AS MATERIALIZED (
    SELECT name, ordinal, state, result::text AS result,
           (state < $5::smallint AND state <> 2 AND NOT (state = 1 AND $5::smallint = 2)
            OR state = $5::smallint AND fence < $2) AS can_go
    FROM annals_steps
    WHERE run_id = $1 AND name = $3
), written AS (
    INSERT INTO annals_steps AS step (run_id, name, ordinal, state, result, fence, written_at, expires_at)
    SELECT $1, $3, $4, $5, $6::json, $2, clock.now, clock.now + $7::bigint * interval '1 microsecond'
    FROM clock
    WHERE NOT EXISTS (SELECT FROM higher) AND NOT EXISTS (SELECT FROM found WHERE NOT can_go)
    ON CONFLICT (run_id, name) DO UPDATE SET
        state = excluded.state,
        result = CASE WHEN step.state = excluded.state THEN step.result ELSE coalesce(excluded.result, step.result) END,
        fence = excluded.fence,
        written_at = excluded.written_at,
        expires_at = excluded.expires_at
    WHERE step.fence <= excluded.fence
      AND (step.state < excluded.state AND step.state <> 2 AND NOT (step.state = 1 AND excluded.state = 2)
           OR step.state = excluded.state AND step.fence < excluded.fence)
    RETURNING name, ordinal, state, result::text AS result
)
SELECT 'stands' AS outcome, name, ordinal, state, result FROM written
UNION ALL
SELECT 'shut out', NULL, NULL, NULL, NULL FROM higher
UNION ALL
SELECT CASE WHEN can_go THEN 'moved' ELSE 'stands' END, name, ordinal, state, result
FROM found
WHERE NOT EXISTS (SELECT FROM written) AND NOT EXISTS (SELECT FROM higher)
