-- Reads the parked events of subscriptions, each as JSON, up to a position.
-- $1 after name, $2 after aggregate id, $3 after sequence, $4 up to position, $5 limit.
-- The sum and the subquery keep the rows in the order of the key: otherwise they would have to be sorted for every page.
SELECT json_build_object('name', name, 'aggregate_id', aggregate_id, 'sequence', sequence, 'error', error,
                         'attempts', attempts, 'parked_at', (extract(epoch FROM parked_at) * 1000000)::bigint)::text AS row
FROM annals_parked_events AS parked
WHERE (name, aggregate_id, sequence) > ($1::text COLLATE "C", $2::text::uuid, $3::text::bigint) AND position + 0 <= $4::bigint
  AND (SELECT checkpoint.kind FROM annals_checkpoints AS checkpoint
       WHERE checkpoint.name = parked.name LIMIT 1) = 'subscription'
ORDER BY name, aggregate_id, sequence
LIMIT $5::bigint
