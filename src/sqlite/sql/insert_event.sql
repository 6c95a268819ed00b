-- Writes one event. ?1 aggregate type, ?2 metadata: of the rows that have null there. Then for each event: ?3 position,
-- ?4 aggregate id, ?5 sequence, ?6 aggregate type or null, ?7 event type, ?8 schema version, ?9 command id, ?10 payload,
-- ?11 metadata or null, ?12 checksum, ?13 recorded at (µs).
-- The VALUES row is repeated to write many events with one statement; rows that are left null write nothing.
-- Differs because one writer has looked before it inserts: PostgreSQL does both in one statement, append_batch.sql.
INSERT INTO annals_events
    (aggregate_type, metadata, position, aggregate_id, sequence, event_type, schema_version,
     command_id, payload, checksum, recorded_at)
SELECT coalesce(column4, ?), coalesce(column9, ?), column1, column2, column3, column5, column6,
       column7, column8, column10, column11
FROM (
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
) AS input
WHERE column1 IS NOT NULL
