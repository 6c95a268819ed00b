-- Reads the version of an aggregate. $1 aggregate id.
SELECT max(sequence) AS version FROM annals_events WHERE aggregate_id = $1
