-- Reads the last position that was drawn, 0 where none was, and whether this is a standby. First step to the horizon,
-- see read_horizon.sql.
-- Differs because SQLite has one writer: its last position is its horizon, read_head.sql.
SELECT last_value - (NOT is_called)::int AS last_position, pg_is_in_recovery() AS is_standby FROM annals_positions
