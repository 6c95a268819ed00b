-- Writes the last message of each source; it only goes forward. ?1 a JSON array of them.
INSERT INTO annals_inbox_places AS mine (consumer, source, sequence)
SELECT value ->> 'consumer', unhex(replace(value ->> 'source', '-', '')), value ->> 'sequence'
FROM json_each(?1)
WHERE true
ON CONFLICT (consumer, source) DO UPDATE SET sequence = excluded.sequence
WHERE mine.sequence < excluded.sequence
