-- Tells by a row that a lease is still held, and bounds what its holder's transaction may keep others waiting for.
-- $1 name, $2 partition, $3 fence, $4 how long it may fall silent (ms), $5 how long it waits for a lock (ms).
-- Until the transaction ends: then both are again what they were.
-- Differs because SQLite has no sessions that could fall silent.
SELECT set_config('idle_in_transaction_session_timeout', $4::text, true), set_config('lock_timeout', $5::text, true)
FROM annals_checkpoints
WHERE name = $1 AND partition = $2 AND fence = $3 AND lease_owner IS NOT NULL
