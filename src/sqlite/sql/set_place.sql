-- Makes a message the last of its source. ?1 consumer, ?2 source, ?3 sequence.
-- Differs because PostgreSQL does it in the statement that takes the message in.
INSERT INTO annals_inbox_places (consumer, source, sequence)
SELECT ?1, ?2, ?3
WHERE true
ON CONFLICT (consumer, source) DO UPDATE SET sequence = excluded.sequence
