-- Reads who holds the horizon back: process id and bound of the oldest writer under way. $1 the last position drawn.
-- See read_horizon.sql. A prepared transaction has no process, but a name; a lock on its transaction's number leads to it.
-- Where several are bound alike, the one that is at it for longest.
-- Differs because SQLite has one writer, who holds nobody back.
SELECT holder.pid, holder.bound, CASE WHEN holder.pid IS NULL THEN (
           SELECT prepared.gid
           FROM pg_prepared_xacts AS prepared
           -- Not a join: the planner takes both for short, and would compare each with each.
           WHERE prepared.transaction = ANY (ARRAY(
               SELECT own.transactionid
               FROM pg_locks AS own
               WHERE own.locktype = 'transactionid' AND own.pid IS NULL
                 AND own.virtualtransaction = holder.virtualtransaction
           ))
           LIMIT 1
       ) END AS prepared_as
FROM (
    SELECT lock.pid, lock.virtualtransaction,
           $1::bigint + ((lock.objid::bigint - $1::bigint)::bit(32)::int) AS bound
    FROM pg_locks AS lock LEFT JOIN pg_stat_activity AS activity ON activity.pid = lock.pid
    WHERE lock.locktype = 'advisory' AND lock.objsubid = 2 AND lock.granted
      AND lock.classid = 'annals_positions'::regclass::oid
      AND lock.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    ORDER BY bound, activity.xact_start
    LIMIT 1
) AS holder
