-- Reads what has to hold of the positions: one at a time from the sequence, and none beyond what was drawn.
-- Differs because in SQLite positions are row ids, and every transaction is serializable.
SELECT sequence.seqcache AS cache, sequence.seqincrement AS increment,
       (SELECT last_value - (NOT is_called)::int FROM annals_positions) AS last_position,
       (SELECT max(position) FROM annals_events) AS last_event,
       current_setting('default_transaction_isolation') AS isolation, current_setting('server_encoding') AS encoding
FROM pg_sequence AS sequence
WHERE sequence.seqrelid = 'annals_positions'::regclass
