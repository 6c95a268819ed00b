-- Deletes stored answers that have expired and that nobody is at work on. ?1 how many, ?2 now (µs).
DELETE FROM annals_responses
WHERE rowid IN (
    SELECT rowid
    FROM annals_responses
    WHERE expires_at <= ?2 AND coalesce(lease_expires_at <= ?2, true)
    ORDER BY expires_at
    LIMIT ?1
)
