-- Reads what the database is and how large: its version, and its size with whatever else is in it.
-- Differs because the size of a server's database is known to the server, that of a file to its header.
SELECT current_setting('server_version') AS version, pg_database_size(current_database()) AS bytes,
       (SELECT max(version) FROM annals_migrations) AS schema_version
