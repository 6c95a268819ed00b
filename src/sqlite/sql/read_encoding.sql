-- Reads how the database writes text.
-- Differs because PostgreSQL tells it with the rest of what has to hold, check_positions.sql.
PRAGMA encoding
