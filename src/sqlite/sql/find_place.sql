-- Finds the last message of a source. ?1 consumer, ?2 source.
-- Differs because PostgreSQL finds it in the statement that takes a message in.
SELECT sequence FROM annals_inbox_places WHERE consumer = ?1 AND source = ?2
