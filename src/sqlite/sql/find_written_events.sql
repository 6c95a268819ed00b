-- Reads the events at some places, in no order. For each: ?1 aggregate id, ?2 sequence.
-- The VALUES row is repeated to read many events with one statement; rows that are left null ask for nothing.
-- The columns come as one, see row.rs.
WITH input (aggregate_id, sequence) AS (
    VALUES (?, ?)
)
SELECT concat_ws(char(31), CAST(event.aggregate_id AS TEXT), CAST(command_id AS TEXT), position, event.sequence,
                 schema_version, checksum, recorded_at, aggregate_type, event_type, metadata, payload) AS event
FROM input
JOIN annals_events AS event ON event.aggregate_id = input.aggregate_id AND event.sequence = input.sequence
