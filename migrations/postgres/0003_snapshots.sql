-- Snapshots: states of aggregates, to spare the folding of long histories. Any of them may be deleted at any time.

CREATE TABLE annals_snapshots (
    aggregate_id     uuid        NOT NULL PRIMARY KEY,
    -- The shape of the state: another shape is passed over.
    snapshot_version integer     NOT NULL CHECK (snapshot_version >= 1),
    -- The state is that after this event, and its checksum is kept to know it by.
    sequence         bigint      NOT NULL CHECK (sequence >= 1),
    event_checksum   bigint      NOT NULL,
    -- JSON, byte by byte, and its xxh3-64 as a signed number.
    state            json        NOT NULL,
    checksum         bigint      NOT NULL,
    recorded_at      timestamptz NOT NULL
);
