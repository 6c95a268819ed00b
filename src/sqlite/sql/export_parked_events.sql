-- Reads the parked events of subscriptions, each as JSON, up to a position.
-- ?1 after name, ?2 after aggregate id, ?3 after sequence, ?4 up to position, ?5 limit.
SELECT json_object('name', name, 'aggregate_id', lower(hex(aggregate_id)), 'sequence', sequence, 'error', error,
                   'attempts', attempts, 'parked_at', parked_at) AS row
FROM annals_parked_events AS parked
WHERE (name, aggregate_id, sequence) > (?1, unhex(replace(?2, '-', '')), CAST(?3 AS INTEGER)) AND position <= ?4
  AND (SELECT checkpoint.kind FROM annals_checkpoints AS checkpoint
       WHERE checkpoint.name = parked.name LIMIT 1) = 'subscription'
ORDER BY name, aggregate_id, sequence
LIMIT +?5
