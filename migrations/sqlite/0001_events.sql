-- Events: the history of every aggregate, written once and never changed.

CREATE TABLE annals_events (
    -- The place in the log. One writer at a time, and rows are never deleted: so positions are 1, 2, 3 … without holes.
    position       INTEGER PRIMARY KEY,
    aggregate_id   BLOB    NOT NULL CHECK (length(aggregate_id) = 16),
    sequence       INTEGER NOT NULL CHECK (sequence >= 1),
    aggregate_type TEXT    NOT NULL,
    event_type     TEXT    NOT NULL,
    schema_version INTEGER NOT NULL CHECK (schema_version >= 1),
    command_id     BLOB    NOT NULL CHECK (length(command_id) = 16),
    -- JSON, byte by byte as it was written: the checksum is over these bytes.
    payload        TEXT    NOT NULL,
    metadata       TEXT    NOT NULL,
    -- xxh3-64, as a signed number.
    checksum       INTEGER NOT NULL,
    -- Microseconds since 1970, UTC.
    recorded_at    INTEGER NOT NULL,
    UNIQUE (aggregate_id, sequence)
) STRICT;

CREATE TRIGGER annals_events_refuse_update BEFORE UPDATE ON annals_events
BEGIN
    SELECT RAISE(ABORT, 'annals_events is append-only: UPDATE is refused');
END;

CREATE TRIGGER annals_events_refuse_delete BEFORE DELETE ON annals_events
BEGIN
    SELECT RAISE(ABORT, 'annals_events is append-only: DELETE is refused');
END;
