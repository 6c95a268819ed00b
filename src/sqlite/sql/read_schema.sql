-- Reads the newest migration that this database has seen, or nothing. Run only where annals_migrations exists.
SELECT max(version) AS version FROM annals_migrations
