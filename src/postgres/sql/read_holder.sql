-- Reads who holds the horizon back: process id and bound of the oldest writer under way. $1 the last position drawn.
-- See read_horizon.sql; a prepared transaction has no process.
SELECT pid, $1::bigint + ((objid::bigint - $1::bigint)::bit(32)::int) AS bound
FROM pg_locks
WHERE locktype = 'advisory' AND objsubid = 2 AND granted
  AND classid = 'annals_positions'::regclass::oid
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
ORDER BY bound
LIMIT 1
