-- Tells whether this database has ever been migrated, and whether there is a schema to make tables in.
SELECT to_regclass('annals_migrations') IS NOT NULL AS has_migrations, current_schema() IS NOT NULL AS has_schema
