-- Makes a key free of which nothing has come. ?1 scope, ?2 key, ?3 fence.
DELETE FROM annals_responses
WHERE scope = ?1 AND idempotency_key = ?2 AND fence = ?3 AND state = 'running'
