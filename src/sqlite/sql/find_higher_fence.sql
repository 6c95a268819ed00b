-- Tells whether somebody has opened a run with a higher fence. ?1 run id, ?2 fence.
-- Differs because on PostgreSQL the statement that writes a step looks itself.
SELECT 1 FROM annals_steps WHERE run_id = ?1 AND fence > ?2 LIMIT 1
