-- Writes checkpoints of subscriptions, by their events. ?1 a JSON array of them.
-- One that nobody has run here yet goes forward; one that was run stays where it is, and so does a name that is split
-- otherwise. Who is paused here stays paused.
INSERT INTO annals_checkpoints AS mine
    (name, partition, partitions, kind, version, position, aggregate_id, sequence, command_id, recorded_at, updated_at,
     paused_at)
SELECT value ->> 'name', value ->> 'partition', value ->> 'partitions', 'subscription', value ->> 'version',
       coalesce(event.position, 0), event.aggregate_id, event.sequence, event.command_id, event.recorded_at,
       value ->> 'updated_at', value ->> 'paused_at'
FROM json_each(?1)
LEFT JOIN annals_events AS event
    ON event.aggregate_id = unhex(replace(value ->> 'aggregate_id', '-', '')) AND event.sequence = value ->> 'sequence'
    AND event.command_id = unhex(replace(value ->> 'command_id', '-', ''))
WHERE (value ->> 'aggregate_id' IS NULL OR event.position IS NOT NULL)
  AND NOT EXISTS (SELECT 1 FROM annals_checkpoints AS other
                  WHERE other.name = value ->> 'name'
                    AND (other.partitions <> value ->> 'partitions' OR other.kind <> 'subscription'))
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
