-- Moves a step forward, or makes it. ?1 run id, ?2 fence, ?3 name, ?4 ordinal, ?5 state, ?6 result, ?7 expires at (µs) or NULL
-- for ever, ?8 now (µs).
-- No row where it cannot go that way. A step that goes on without a result keeps the one it has. One that stays where it is
-- keeps its result, and gets the higher fence: whoever has a lower one is shut out from then on.
INSERT INTO annals_steps AS step (run_id, fence, name, ordinal, state, result, expires_at, written_at)
SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8
WHERE true
ON CONFLICT (run_id, name) DO UPDATE SET
    state = excluded.state,
    result = CASE WHEN step.state = excluded.state THEN step.result ELSE coalesce(excluded.result, step.result) END,
    fence = excluded.fence,
    written_at = excluded.written_at,
    expires_at = excluded.expires_at
WHERE step.fence <= excluded.fence
  AND (step.state < excluded.state AND step.state <> 2 AND NOT (step.state = 1 AND excluded.state = 2)
       OR step.state = excluded.state AND step.fence < excluded.fence)
RETURNING name, ordinal, state, result
