-- Notes what went wrong. ?1 name, ?2 partition, ?3 fence, ?4 what, ?5 now (µs).
UPDATE annals_checkpoints
SET failure = ?4, failed_at = ?5
WHERE name = ?1 AND partition = ?2 AND fence = ?3
