-- Writes the last message of each source; it only goes forward. $1 a JSON array of them.
INSERT INTO annals_inbox_places AS mine (consumer, source, sequence)
SELECT consumer, source, sequence
FROM json_to_recordset($1::text::json) AS input (consumer text, source uuid, sequence bigint)
ORDER BY consumer, source
ON CONFLICT (consumer, source) DO UPDATE SET sequence = excluded.sequence
WHERE mine.sequence < excluded.sequence
