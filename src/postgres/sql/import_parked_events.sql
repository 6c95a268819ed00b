-- Writes parked events. $1 a JSON array of them.
-- Of subscriptions that nobody has run here yet: what was handled here since must not be parked again.
INSERT INTO annals_parked_events (name, aggregate_id, sequence, position, error, attempts, parked_at)
SELECT input.name, event.aggregate_id, event.sequence, event.position, input.error, input.attempts,
       timestamptz 'epoch' + input.parked_at * interval '1 microsecond'
FROM json_to_recordset($1::text::json)
        AS input (name text, aggregate_id uuid, sequence bigint, error text, attempts int, parked_at bigint)
    CROSS JOIN LATERAL (
        SELECT annals_events.aggregate_id, annals_events.sequence, annals_events.position
        FROM annals_events
        WHERE annals_events.aggregate_id = input.aggregate_id AND annals_events.sequence = input.sequence
        OFFSET 0
    ) AS event
WHERE EXISTS (SELECT 1 FROM annals_checkpoints AS mine WHERE mine.name = input.name)
  AND NOT EXISTS (SELECT 1 FROM annals_checkpoints AS mine WHERE mine.name = input.name AND mine.fence > 0)
ORDER BY input.name, event.aggregate_id, event.sequence
ON CONFLICT DO NOTHING
