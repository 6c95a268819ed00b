-- Finds the version and the type of aggregates, of those that have events. For each: ?1 aggregate id.
-- The VALUES row is repeated to ask for many aggregates with one statement; rows that are left null ask for nothing.
WITH input (aggregate_id) AS (
    VALUES (?)
)
SELECT head.aggregate_id, head.sequence AS version, head.aggregate_type
FROM input
JOIN annals_events AS head
    ON head.position = (
        SELECT position FROM annals_events
        WHERE aggregate_id = input.aggregate_id
        ORDER BY sequence DESC
        LIMIT 1
    )
