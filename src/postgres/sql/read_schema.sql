-- Reads the migrations that this database has seen, in their order. Run only where annals_migrations exists.
-- Differs because a role that may not create tables compares the checksums itself.
SELECT version, checksum, success FROM annals_migrations ORDER BY version
