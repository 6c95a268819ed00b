-- Reads the last message of each source, each as JSON. ?1 after consumer, ?2 after source, ?3 limit.
SELECT json_object('consumer', consumer, 'source', lower(hex(source)), 'sequence', sequence) AS row
FROM annals_inbox_places
WHERE (consumer, source) > (?1, unhex(replace(?2, '-', '')))
ORDER BY consumer, source
LIMIT +?3
