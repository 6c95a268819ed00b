-- Writes one event. ?1 position, ?2 aggregate id, ?3 sequence, ?4 aggregate type, ?5 event type, ?6 schema version,
-- ?7 command id, ?8 payload, ?9 metadata, ?10 checksum, ?11 recorded at (µs).
-- The VALUES row is repeated to write many events with one statement.
-- Differs because one writer has looked before it inserts: PostgreSQL does both in one statement, append_batch.sql.
INSERT INTO annals_events
    (position, aggregate_id, sequence, aggregate_type, event_type, schema_version,
     command_id, payload, metadata, checksum, recorded_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
