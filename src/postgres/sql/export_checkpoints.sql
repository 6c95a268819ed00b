-- Reads the checkpoints of subscriptions, each as JSON, by the last event up to it and up to a position.
-- $1 after name, $2 after partition, $3 up to position, $4 limit.
SELECT json_build_object('name', name, 'partition', partition, 'partitions', partitions, 'version', version,
                         'aggregate_id', event.aggregate_id, 'sequence', event.sequence, 'command_id', event.command_id,
                         'updated_at', (extract(epoch FROM updated_at) * 1000000)::bigint,
                         'paused_at', (extract(epoch FROM paused_at) * 1000000)::bigint)::text AS row
FROM annals_checkpoints AS checkpoint
    LEFT JOIN LATERAL (
        SELECT annals_events.aggregate_id, annals_events.sequence, annals_events.command_id
        FROM annals_events
        WHERE position <= least(checkpoint.position, $3::bigint)
        ORDER BY position DESC
        LIMIT 1
    ) AS event ON true
WHERE kind = 'subscription' AND (name, partition) > ($1::text COLLATE "C", $2::text::int)
ORDER BY name, partition
LIMIT $4::bigint
