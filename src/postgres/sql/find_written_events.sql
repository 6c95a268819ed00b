-- Reads the events at some places, in no order. $1 aggregate ids, $2 sequences.
SELECT event.*
FROM unnest($1::uuid[], $2::bigint[]) AS input (aggregate_id, sequence)
    CROSS JOIN LATERAL (
        -- OFFSET 0 keeps the look-up one per row.
        SELECT aggregate_id, sequence, position, command_id, checksum, recorded_at, schema_version, aggregate_type,
               event_type, payload, metadata
        FROM annals_events
        WHERE annals_events.aggregate_id = input.aggregate_id AND annals_events.sequence = input.sequence
        OFFSET 0
    ) AS event
