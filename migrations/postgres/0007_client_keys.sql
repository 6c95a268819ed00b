-- Requests of a client to other services whose outcome is not known, and who sends each.

CREATE TABLE annals_client_keys (
    -- Stands for one service and one account there.
    client           text        COLLATE "C" NOT NULL CHECK (length(client) BETWEEN 1 AND 200),
    idempotency_key  text        COLLATE "C" NOT NULL CHECK (length(idempotency_key) BETWEEN 1 AND 255),
    -- SHA-256 of the request.
    fingerprint      bytea       NOT NULL CHECK (length(fingerprint) = 32),
    method           text        NOT NULL,
    url              text        NOT NULL,
    -- A list of pairs, each byte of a value one character. Secrets are not among them.
    headers          json        NOT NULL,
    body             bytea       NOT NULL,
    created_at       timestamptz NOT NULL,
    -- How often it was taken up to be sent.
    takes            integer     NOT NULL CHECK (takes >= 1),
    -- Names one holding of the call; whoever has another one writes nothing.
    holder           uuid,
    lease_expires_at timestamptz,
    PRIMARY KEY (client, idempotency_key),
    CHECK ((holder IS NULL) = (lease_expires_at IS NULL))
);

CREATE INDEX annals_client_keys_created_at ON annals_client_keys (client, created_at, idempotency_key);
