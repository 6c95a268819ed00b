-- Counts the events of each type in each shape. $1 how many types. Reads every event.
SELECT aggregate_type, event_type, schema_version, count(*) AS events, count(*) FILTER (WHERE sequence = 1) AS first_events,
       min(recorded_at) AS first_at, max(recorded_at) AS last_at
FROM annals_events
GROUP BY aggregate_type, event_type, schema_version
-- Byte by byte, as SQLite does it.
ORDER BY aggregate_type COLLATE "C", event_type COLLATE "C", schema_version
LIMIT $1::bigint
