-- Shuts out whoever has a lower fence, and reads the steps of a run. ?1 run id, ?2 fence, ?3 expires at (µs) or NULL for ever.
UPDATE annals_steps
SET fence = ?2, expires_at = ?3
WHERE run_id = ?1 AND fence <= ?2
RETURNING name, ordinal, state, result
