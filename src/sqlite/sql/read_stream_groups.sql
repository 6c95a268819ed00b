-- Reads a stream from one event on, many events to a row. ?1 aggregate id, ?2 from sequence, ?3 to sequence, ?4 events of a
-- row, ?5 the most bytes of a payload and its metadata.
-- The events of a row stand one after the other, as read_stream.sql gives them. One that is too long leaves nothing but the
-- separator, and its row does not come apart: its events are then read by read_stream.sql.
-- Differs because a row takes the driver two threads and a copy, and an event less than half of that.
WITH RECURSIVE span (first) AS (
    VALUES (?2)
    UNION ALL
    SELECT span.first + ?4 FROM span
    WHERE EXISTS (SELECT 1 FROM annals_events WHERE aggregate_id = ?1 AND sequence BETWEEN span.first + ?4 AND ?3)
)
SELECT (
    SELECT group_concat(event, char(30))
    FROM (
        SELECT iif(octet_length(payload) + octet_length(metadata) <= ?5,
                   concat_ws(char(31), CAST(aggregate_id AS TEXT), CAST(command_id AS TEXT), position, sequence,
                             schema_version, checksum, recorded_at, aggregate_type, event_type, metadata, payload),
                   char(30)) AS event
        FROM annals_events
        WHERE aggregate_id = ?1 AND sequence BETWEEN span.first AND min(span.first + ?4 - 1, ?3)
        ORDER BY sequence
    ) AS bounded
) AS events
FROM span
