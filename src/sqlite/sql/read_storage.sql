-- Reads what the database is and how large: its version, its pages and the free ones among them, and where it lies.
-- Differs because the size of a server's database is known to the server, that of a file to its header.
SELECT sqlite_version() AS version, page_count * page_size AS bytes, freelist_count * page_size AS free_bytes,
       (SELECT file FROM pragma_database_list WHERE name = 'main') AS file,
       (SELECT max(version) FROM annals_migrations) AS schema_version
FROM pragma_page_count(), pragma_page_size(), pragma_freelist_count()
