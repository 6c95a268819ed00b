-- Reads the checkpoints of subscriptions, each as JSON, by the last event up to it and up to a position.
-- ?1 after name, ?2 after partition, ?3 up to position, ?4 limit.
SELECT json_object('name', name, 'partition', partition, 'partitions', partitions, 'version', version,
                   'aggregate_id', lower(hex(event.aggregate_id)), 'sequence', event.sequence,
                   'command_id', lower(hex(event.command_id)), 'updated_at', updated_at, 'paused_at', paused_at) AS row
FROM annals_checkpoints AS checkpoint
LEFT JOIN annals_events AS event
    ON event.position = (SELECT max(position) FROM annals_events WHERE position <= min(checkpoint.position, ?3))
WHERE kind = 'subscription' AND (name, partition) > (?1, CAST(?2 AS INTEGER))
ORDER BY name, partition
LIMIT +?4
