-- Counts the rows of each table up to a bound. ?1 one more than the bound.
-- Differs because SQLite estimates nothing, and to know the size of a table there means to read it. Events are counted by
-- their positions, which have no holes.
SELECT 'annals_events' AS name, 0 AS rows, coalesce(max(position), 0) AS all_rows FROM annals_events
UNION ALL
SELECT 'annals_receipts', (SELECT count(*) FROM (SELECT 1 FROM annals_receipts LIMIT ?1) AS bounded), NULL
UNION ALL
SELECT 'annals_snapshots', (SELECT count(*) FROM (SELECT 1 FROM annals_snapshots LIMIT ?1) AS bounded), NULL
UNION ALL
SELECT 'annals_checkpoints', (SELECT count(*) FROM (SELECT 1 FROM annals_checkpoints LIMIT ?1) AS bounded), NULL
UNION ALL
SELECT 'annals_parked_events', (SELECT count(*) FROM (SELECT 1 FROM annals_parked_events LIMIT ?1) AS bounded), NULL
UNION ALL
SELECT 'annals_responses', (SELECT count(*) FROM (SELECT 1 FROM annals_responses LIMIT ?1) AS bounded), NULL
UNION ALL
SELECT 'annals_steps', (SELECT count(*) FROM (SELECT 1 FROM annals_steps LIMIT ?1) AS bounded), NULL
UNION ALL
SELECT 'annals_timers', (SELECT count(*) FROM (SELECT 1 FROM annals_timers LIMIT ?1) AS bounded), NULL
UNION ALL
SELECT 'annals_inbox', (SELECT count(*) FROM (SELECT 1 FROM annals_inbox LIMIT ?1) AS bounded), NULL
UNION ALL
SELECT 'annals_inbox_places', (SELECT count(*) FROM (SELECT 1 FROM annals_inbox_places LIMIT ?1) AS bounded), NULL
UNION ALL
SELECT 'annals_client_keys', (SELECT count(*) FROM (SELECT 1 FROM annals_client_keys LIMIT ?1) AS bounded), NULL
