-- Answers to requests under an idempotency key, who is at work on them, and how far their steps have come.

-- Where fences come from: never the same twice, also after a row is gone.
CREATE SEQUENCE annals_fences;

CREATE TABLE annals_responses (
    -- Whose key it is; a principal, or a part of one. Compared byte by byte, as the key is.
    scope            text        COLLATE "C" NOT NULL CHECK (length(scope) BETWEEN 1 AND 255),
    idempotency_key  text        COLLATE "C" NOT NULL CHECK (length(idempotency_key) BETWEEN 1 AND 255),
    -- SHA-256 of the request, and by which recipe it was made.
    fingerprint      bytea       NOT NULL CHECK (length(fingerprint) = 32),
    recipe           smallint    NOT NULL CHECK (recipe >= 1),
    state            text        NOT NULL CHECK (state IN ('running', 'completed', 'dead')),
    -- Whoever has the current one may answer.
    fence            bigint      NOT NULL,
    -- Names the execution over all its attempts; a key that is used anew has another.
    run_id           uuid        NOT NULL,
    attempts         integer     NOT NULL CHECK (attempts >= 0),
    -- Until when whoever is at work has the right to it.
    lease_expires_at timestamptz,
    created_at       timestamptz NOT NULL,
    completed_at     timestamptz,
    -- From then on the key is free, unless somebody is at work.
    expires_at       timestamptz NOT NULL,
    -- The answer. Headers as a JSON list of pairs, each byte of a value one character.
    status           smallint    CHECK (status BETWEEN 100 AND 999),
    headers          json,
    body_kind        text        CHECK (body_kind IN ('whole', 'tombstone', 'reference')),
    body             bytea,
    -- The request, where somebody else is to finish it if it is abandoned: method, URI, headers.
    request          json,
    request_body     bytea,
    -- What an operator last did to it.
    operation        text,
    operator         text,
    operated_at      timestamptz,
    PRIMARY KEY (scope, idempotency_key),
    CHECK ((state = 'running') = (lease_expires_at IS NOT NULL)),
    CHECK ((state = 'running') = (status IS NULL)),
    CHECK ((status IS NULL) = (body_kind IS NULL)),
    CHECK ((operation IS NULL) = (operated_at IS NULL))
);

CREATE INDEX annals_responses_expires_at ON annals_responses (expires_at);
CREATE INDEX annals_responses_abandoned ON annals_responses (lease_expires_at) WHERE request IS NOT NULL AND state = 'running';

CREATE TABLE annals_steps (
    run_id     uuid        NOT NULL,
    name       text        COLLATE "C" NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    -- In which order steps were begun.
    ordinal    integer     NOT NULL CHECK (ordinal >= 1),
    -- 0 begun, 1 done, 2 refused, 3 being undone, 4 undone. Only ever goes forward.
    state      smallint    NOT NULL CHECK (state BETWEEN 0 AND 4),
    -- What came of it, as JSON.
    result     json,
    -- Whoever has a lower one writes nothing.
    fence      bigint      NOT NULL,
    written_at timestamptz NOT NULL,
    expires_at timestamptz,
    PRIMARY KEY (run_id, name)
);

CREATE INDEX annals_steps_expires_at ON annals_steps (expires_at) WHERE expires_at IS NOT NULL;
