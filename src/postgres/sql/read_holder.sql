-- Reads who holds the horizon back: process id and bound of the oldest writer under way. $1 the last position drawn.
-- See read_horizon.sql. A prepared transaction has no process, but a name; a lock on its transaction's number leads to it.
-- Where several are bound alike, the one that is at it for longest.
-- Differs because SQLite has one writer, who holds nobody back.
SELECT lock.pid, $1::bigint + ((lock.objid::bigint - $1::bigint)::bit(32)::int) AS bound, prepared.gid AS prepared_as
FROM pg_locks AS lock
    LEFT JOIN pg_stat_activity AS activity ON activity.pid = lock.pid
    LEFT JOIN pg_locks AS own
        ON lock.pid IS NULL AND own.pid IS NULL AND own.locktype = 'transactionid'
       AND own.virtualtransaction = lock.virtualtransaction
    LEFT JOIN pg_prepared_xacts AS prepared ON prepared.transaction = own.transactionid
WHERE lock.locktype = 'advisory' AND lock.objsubid = 2 AND lock.granted
  AND lock.classid = 'annals_positions'::regclass::oid
  AND lock.database = (SELECT oid FROM pg_database WHERE datname = current_database())
ORDER BY bound, activity.xact_start
LIMIT 1
