-- Requests of a client to other services whose outcome is not known, and who sends each.

CREATE TABLE annals_client_keys (
    -- Stands for one service and one account there.
    client           TEXT    NOT NULL CHECK (length(client) BETWEEN 1 AND 200),
    idempotency_key  TEXT    NOT NULL CHECK (length(idempotency_key) BETWEEN 1 AND 255),
    -- SHA-256 of the request.
    fingerprint      BLOB    NOT NULL CHECK (length(fingerprint) = 32),
    method           TEXT    NOT NULL,
    url              TEXT    NOT NULL,
    -- A list of pairs, each byte of a value one character. Secrets are not among them.
    headers          TEXT    NOT NULL,
    body             BLOB    NOT NULL,
    -- Times are microseconds since 1970, UTC.
    created_at       INTEGER NOT NULL,
    -- How often it was taken up to be sent.
    takes            INTEGER NOT NULL CHECK (takes >= 1),
    -- Names one holding of the call; whoever has another one writes nothing.
    holder           BLOB    CHECK (length(holder) = 16),
    lease_expires_at INTEGER,
    PRIMARY KEY (client, idempotency_key),
    CHECK ((holder IS NULL) = (lease_expires_at IS NULL))
) STRICT;

CREATE INDEX annals_client_keys_created_at ON annals_client_keys (client, created_at, idempotency_key);
