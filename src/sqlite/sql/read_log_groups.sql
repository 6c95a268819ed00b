-- Reads the whole log from one event on, many events to a row. ?1 from position, ?2 to position, ?3 events of a row, ?4 the
-- most bytes of a payload and its metadata.
-- Differs because a row costs two threads and a copy here: events come whole, and PostgreSQL's columns each by itself.
-- Rows as in read_stream_groups.sql; where one does not come apart its events are read by read_log.sql.
WITH RECURSIVE span (first) AS (
    VALUES (?1)
    UNION ALL
    SELECT span.first + ?3 FROM span WHERE span.first + ?3 <= ?2
)
SELECT (
    SELECT group_concat(event, char(30))
    FROM (
        SELECT iif(octet_length(payload) + octet_length(metadata) <= ?4,
                   concat_ws(char(31), CAST(aggregate_id AS TEXT), CAST(command_id AS TEXT), position, sequence,
                             schema_version, checksum, recorded_at, aggregate_type, event_type, metadata, payload),
                   char(30)) AS event
        FROM annals_events
        WHERE position BETWEEN span.first AND min(span.first + ?3 - 1, ?2)
        ORDER BY position
    ) AS bounded
) AS events
FROM span
