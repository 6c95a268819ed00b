-- Writes checkpoints of subscriptions, by their events. $1 a JSON array of them.
-- One that nobody has run here yet goes forward; one that was run stays where it is, and so does a name that is split
-- otherwise. Who is paused here stays paused.
INSERT INTO annals_checkpoints AS mine
    (name, partition, partitions, kind, version, position, aggregate_id, sequence, command_id, recorded_at, updated_at,
     paused_at)
SELECT input.name, input.partition, input.partitions, 'subscription', input.version, coalesce(event.position, 0),
       event.aggregate_id, event.sequence, event.command_id, event.recorded_at,
       timestamptz 'epoch' + input.updated_at * interval '1 microsecond',
       timestamptz 'epoch' + input.paused_at * interval '1 microsecond'
FROM json_to_recordset($1::text::json)
        AS input (name text, partition int, partitions int, version int, aggregate_id uuid, sequence bigint, command_id uuid,
                  updated_at bigint, paused_at bigint)
    LEFT JOIN LATERAL (
        SELECT annals_events.*
        FROM annals_events
        WHERE annals_events.aggregate_id = input.aggregate_id AND annals_events.sequence = input.sequence
          AND annals_events.command_id = input.command_id
        OFFSET 0
    ) AS event ON true
WHERE (input.aggregate_id IS NULL OR event.position IS NOT NULL)
  AND NOT EXISTS (SELECT 1 FROM annals_checkpoints AS other
                  WHERE other.name = input.name
                    AND (other.partitions <> input.partitions OR other.kind <> 'subscription'))
ORDER BY input.name, input.partition
ON CONFLICT (name, partition) DO UPDATE SET
    version = excluded.version,
    position = excluded.position,
    aggregate_id = excluded.aggregate_id,
    sequence = excluded.sequence,
    command_id = excluded.command_id,
    recorded_at = excluded.recorded_at,
    updated_at = excluded.updated_at,
    paused_at = coalesce(mine.paused_at, excluded.paused_at)
WHERE mine.fence = 0 AND mine.position < excluded.position
