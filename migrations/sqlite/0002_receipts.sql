-- Receipts: how each request under an idempotency key ended, written in the transaction of its events.

CREATE TABLE annals_receipts (
    aggregate_id    BLOB    NOT NULL CHECK (length(aggregate_id) = 16),
    -- A client's key; or a blank and the command id, for an append that named no version.
    idempotency_key TEXT    NOT NULL,
    command_id      BLOB    NOT NULL CHECK (length(command_id) = 16),
    -- SHA-256 of the request.
    fingerprint     BLOB    NOT NULL CHECK (length(fingerprint) = 32),
    outcome         TEXT    NOT NULL CHECK (outcome IN ('accepted', 'rejected')),
    -- The events first_sequence to last_sequence are its own; where there are none, last_sequence is the version.
    first_sequence  INTEGER NOT NULL CHECK (first_sequence >= 1),
    last_sequence   INTEGER NOT NULL CHECK (last_sequence >= first_sequence - 1),
    -- The rejection as JSON.
    rejection       TEXT,
    -- Microseconds since 1970, UTC; a receipt without expires_at is kept for ever.
    recorded_at     INTEGER NOT NULL,
    expires_at      INTEGER,
    PRIMARY KEY (aggregate_id, idempotency_key)
) STRICT, WITHOUT ROWID;

CREATE INDEX annals_receipts_expires_at ON annals_receipts (expires_at) WHERE expires_at IS NOT NULL;
