-- Reads the sequence that positions are drawn from, for the check of the whole log.
-- Differs because in SQLite positions are row ids: no sequence can be behind.
SELECT sequence.seqcache AS cache, sequence.seqincrement AS increment,
       (SELECT last_value - (NOT is_called)::int FROM annals_positions) AS last_drawn
FROM pg_sequence AS sequence
WHERE sequence.seqrelid = 'annals_positions'::regclass
