-- Reads by what the event at a position is known. $1 position.
SELECT aggregate_id, sequence, command_id, recorded_at FROM annals_events WHERE position = $1
