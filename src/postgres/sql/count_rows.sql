-- Counts the rows of each table up to a bound, with what the planner estimates, and its size. $1 one more than the bound.
-- Differs because SQLite estimates nothing, and to know the size of a table there means to read it.
SELECT counted.name, counted.rows, estimated.rows AS estimated, estimated.bytes
FROM (
    SELECT 1 AS place, 'annals_events' AS name, (SELECT count(*) FROM (SELECT FROM annals_events LIMIT $1::bigint) AS bounded) AS rows
    UNION ALL
    SELECT 2 AS place, 'annals_receipts' AS name, (SELECT count(*) FROM (SELECT FROM annals_receipts LIMIT $1::bigint) AS bounded) AS rows
    UNION ALL
    SELECT 3 AS place, 'annals_snapshots' AS name, (SELECT count(*) FROM (SELECT FROM annals_snapshots LIMIT $1::bigint) AS bounded) AS rows
    UNION ALL
    SELECT 4 AS place, 'annals_checkpoints' AS name, (SELECT count(*) FROM (SELECT FROM annals_checkpoints LIMIT $1::bigint) AS bounded) AS rows
    UNION ALL
    SELECT 5 AS place, 'annals_parked_events' AS name, (SELECT count(*) FROM (SELECT FROM annals_parked_events LIMIT $1::bigint) AS bounded) AS rows
    UNION ALL
    SELECT 6 AS place, 'annals_responses' AS name, (SELECT count(*) FROM (SELECT FROM annals_responses LIMIT $1::bigint) AS bounded) AS rows
    UNION ALL
    SELECT 7 AS place, 'annals_steps' AS name, (SELECT count(*) FROM (SELECT FROM annals_steps LIMIT $1::bigint) AS bounded) AS rows
    UNION ALL
    SELECT 8 AS place, 'annals_timers' AS name, (SELECT count(*) FROM (SELECT FROM annals_timers LIMIT $1::bigint) AS bounded) AS rows
    UNION ALL
    SELECT 9 AS place, 'annals_inbox' AS name, (SELECT count(*) FROM (SELECT FROM annals_inbox LIMIT $1::bigint) AS bounded) AS rows
    UNION ALL
    SELECT 10 AS place, 'annals_inbox_places' AS name, (SELECT count(*) FROM (SELECT FROM annals_inbox_places LIMIT $1::bigint) AS bounded) AS rows
    UNION ALL
    SELECT 11 AS place, 'annals_client_keys' AS name, (SELECT count(*) FROM (SELECT FROM annals_client_keys LIMIT $1::bigint) AS bounded) AS rows
) AS counted CROSS JOIN LATERAL (
    -- A table and its partitions, which a table that has none is not among. An estimate below zero says that there is none.
    SELECT sum(greatest(class.reltuples, 0))::bigint AS rows, sum(pg_total_relation_size(class.oid))::bigint AS bytes
    FROM (
        SELECT counted.name::regclass AS part
        UNION
        SELECT relid FROM pg_partition_tree(counted.name::regclass)
    ) AS parts JOIN pg_class AS class ON class.oid = parts.part
) AS estimated
ORDER BY counted.place
