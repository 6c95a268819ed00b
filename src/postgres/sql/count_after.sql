-- Counts the events after a position, up to the horizon. $1 after position, $2 the horizon, $3 the most that are counted.
-- Differs because SQLite's positions have no holes, and are taken from each other.
SELECT count(*) AS events
FROM (SELECT 1 FROM annals_events WHERE position > $1 AND position <= $2 LIMIT $3::bigint) AS counted
