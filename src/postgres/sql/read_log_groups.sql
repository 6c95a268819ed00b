-- Reads the whole log, many events to a row. For each group one entry: $1 after positions, $2 up to positions. $3 the most
-- events of a group, $4 the most bytes of a payload, and of metadata.
-- A row has what is of one size, event after event, then each text with a separator between: so an event takes the driver
-- half of what a row of its own does, and the server no more. A text that is too long is left out, and the group does not come
-- apart: its events are then read by read_log.sql, as they are where groups do not come in their order.
-- LIMIT keeps the inner SELECT a walk along the index.
-- Differs because a column costs the server and the driver here, and a row does there: SQLite's gives whole events.
SELECT input.after, many.*
FROM unnest($1::bigint[], $2::bigint[]) AS input (after, until)
    CROSS JOIN LATERAL (
        SELECT string_agg(uuid_send(event.aggregate_id) || uuid_send(event.command_id) || int8send(event.position)
                          || int8send(event.sequence) || int8send(event.checksum) || timestamptz_send(event.recorded_at)
                          || int4send(event.schema_version), '') AS numbers,
               string_agg(event.aggregate_type, E'\x1f') AS aggregate_types,
               string_agg(event.event_type, E'\x1f') AS event_types,
               string_agg(event.metadata, E'\x1f') FILTER (WHERE octet_length(event.metadata) <= $4::int) AS metadata,
               string_agg(event.payload, E'\x1f') FILTER (WHERE octet_length(event.payload) <= $4::int) AS payloads
        FROM (
            SELECT stored.aggregate_id, stored.sequence, stored.position, stored.command_id, stored.checksum,
                   stored.recorded_at, stored.schema_version, stored.aggregate_type, stored.event_type,
                   stored.payload::text AS payload, stored.metadata::text AS metadata
            FROM annals_events AS stored
            WHERE stored.position > input.after AND stored.position <= input.until
            ORDER BY stored.position
            LIMIT $3::bigint
        ) AS event
    ) AS many
