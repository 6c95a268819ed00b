-- Reads the last position of the log. With one writer nothing below it can still appear.
SELECT max(position) AS position FROM annals_events
