-- Reads a step. ?1 run id, ?2 name.
-- Differs because on PostgreSQL the statement that writes a step reads it as well.
SELECT name, ordinal, state, result FROM annals_steps WHERE run_id = ?1 AND name = ?2
