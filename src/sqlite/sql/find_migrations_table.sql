-- Tells whether this database has ever been migrated.
SELECT count(*) AS tables FROM sqlite_schema WHERE type = 'table' AND name = 'annals_migrations'
