-- Reads the last message of each source, each as JSON. $1 after consumer, $2 after source, $3 limit.
SELECT json_build_object('consumer', consumer, 'source', source, 'sequence', sequence)::text AS row
FROM annals_inbox_places
WHERE (consumer, source) > ($1::text COLLATE "C", $2::text::uuid)
ORDER BY consumer, source
LIMIT $3::bigint
