-- Tells what a name belongs to: a table, a view, an index. ?1 name.
-- Differs because PostgreSQL tells by an error of its own.
SELECT type FROM sqlite_schema WHERE name = ?1 COLLATE NOCASE
