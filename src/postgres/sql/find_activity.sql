-- Finds what a connection of this server is about. $1 its process id.
-- Never its statement, which may hold data. Without the right to see others' sessions some of it is null.
-- Differs because SQLite's writer holds no reader back.
SELECT application_name, host(client_addr) AS address, state,
       (extract(epoch FROM clock_timestamp() - xact_start) * 1000000)::bigint AS begun_ago
FROM pg_stat_activity
WHERE pid = $1
