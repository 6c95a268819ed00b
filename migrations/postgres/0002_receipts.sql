-- Receipts: how each request under an idempotency key ended, written in the transaction of its events.

CREATE TABLE annals_receipts (
    aggregate_id    uuid        NOT NULL,
    -- A client's key; or a blank and the command id, for an append that named no version. Compared byte by byte.
    idempotency_key text        COLLATE "C" NOT NULL,
    command_id      uuid        NOT NULL,
    -- SHA-256 of the request.
    fingerprint     bytea       NOT NULL CHECK (length(fingerprint) = 32),
    outcome         text        NOT NULL CHECK (outcome IN ('accepted', 'rejected')),
    -- The events first_sequence to last_sequence are its own; where there are none, last_sequence is the version.
    first_sequence  bigint      NOT NULL CHECK (first_sequence >= 1),
    last_sequence   bigint      NOT NULL CHECK (last_sequence >= first_sequence - 1),
    rejection       json,
    recorded_at     timestamptz NOT NULL,
    -- A receipt without it is kept for ever.
    expires_at      timestamptz,
    PRIMARY KEY (aggregate_id, idempotency_key)
);

CREATE INDEX annals_receipts_expires_at ON annals_receipts (expires_at) WHERE expires_at IS NOT NULL;
