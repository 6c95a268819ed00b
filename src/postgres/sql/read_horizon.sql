-- Reads the horizon: up to this position every event that will ever be there can be read. $1 the last position drawn, as
-- read_last_position.sql gave it *before*.
--
-- A writer locks, shared, the key (sequence, last value L as the writer read it) before it draws: "my positions will be
-- greater than L". The lock falls when its transaction ends. The horizon is the least such bound, or $1 where there is none.
-- Why nothing at or below it can still appear, for a reader that now takes a new snapshot:
--   - advisory locks are never taken by the fast path, and pg_locks holds all partitions of the lock table at once: so the
--     scan shows every lock that is held at one moment;
--   - a transaction becomes visible before its locks are released: so a writer whose lock the scan did not see had either
--     finished, and its rows are in the later snapshot, or had not locked yet;
--   - one that had not locked yet draws after the scan, so after $1 was read, and a sequence only grows: its positions are
--     greater than $1.
-- So the order is: $1, this, rows; each in a statement of its own, in READ COMMITTED. Rows that are already in hand must not
-- be filtered by it but read again.
-- The key holds the low 32 bits of L; the distance to $1 is a signed 32-bit number and gives the rest back.
-- Differs because SQLite has one writer: its last position is its horizon, read_head.sql.
SELECT least($1::bigint, min($1::bigint + ((objid::bigint - $1::bigint)::bit(32)::int))) AS horizon
FROM pg_locks
WHERE locktype = 'advisory' AND objsubid = 2 AND granted
  AND classid = 'annals_positions'::regclass::oid
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
