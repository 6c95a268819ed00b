-- Deletes steps that have expired. ?1 how many, ?2 now (µs).
DELETE FROM annals_steps
WHERE (run_id, name) IN (
    SELECT run_id, name
    FROM annals_steps
    WHERE expires_at <= ?2
    ORDER BY expires_at
    LIMIT ?1
)
