-- Finds the version and the type of aggregates, of those that have events. $1 aggregate ids.
SELECT input.aggregate_id, head.sequence AS version, head.aggregate_type
FROM unnest($1::uuid[]) AS input (aggregate_id)
    CROSS JOIN LATERAL (
        SELECT event.sequence, event.aggregate_type
        FROM annals_events AS event
        WHERE event.aggregate_id = input.aggregate_id
        ORDER BY event.sequence DESC
        LIMIT 1
    ) AS head
