-- Snapshots: states of aggregates, to spare the folding of long histories. Any of them may be deleted at any time.

CREATE TABLE annals_snapshots (
    aggregate_id     BLOB    NOT NULL PRIMARY KEY CHECK (length(aggregate_id) = 16),
    -- The shape of the state: another shape is passed over.
    snapshot_version INTEGER NOT NULL CHECK (snapshot_version >= 1),
    -- The state is that after this event, and its checksum is kept to know it by.
    sequence         INTEGER NOT NULL CHECK (sequence >= 1),
    event_checksum   INTEGER NOT NULL,
    -- JSON, and its xxh3-64 as a signed number.
    state            TEXT    NOT NULL,
    checksum         INTEGER NOT NULL,
    -- Microseconds since 1970, UTC.
    recorded_at      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
