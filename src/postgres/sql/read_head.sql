-- Reads the position of the last event up to the horizon, or null. $1 the horizon.
SELECT max(position) AS position FROM annals_events WHERE position <= $1
