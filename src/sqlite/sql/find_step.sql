-- Reads a step. ?1 run id, ?2 name.
SELECT name, ordinal, state, result FROM annals_steps WHERE run_id = ?1 AND name = ?2
