-- Writes parked events. ?1 a JSON array of them.
-- Of subscriptions that nobody has run here yet: what was handled here since must not be parked again.
INSERT INTO annals_parked_events (name, aggregate_id, sequence, position, error, attempts, parked_at)
SELECT value ->> 'name', event.aggregate_id, event.sequence, event.position, value ->> 'error', value ->> 'attempts',
       value ->> 'parked_at'
FROM json_each(?1)
JOIN annals_events AS event
    ON event.aggregate_id = unhex(replace(value ->> 'aggregate_id', '-', '')) AND event.sequence = value ->> 'sequence'
WHERE EXISTS (SELECT 1 FROM annals_checkpoints AS mine WHERE mine.name = value ->> 'name')
  AND NOT EXISTS (SELECT 1 FROM annals_checkpoints AS mine WHERE mine.name = value ->> 'name' AND mine.fence > 0)
ON CONFLICT DO NOTHING
