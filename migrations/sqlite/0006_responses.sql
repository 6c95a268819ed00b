-- Answers to requests under an idempotency key, who is at work on them, and how far their steps have come.

-- Where fences come from: never the same twice, also after a row is gone.
CREATE TABLE annals_fences (
    id   INTEGER PRIMARY KEY CHECK (id = 1),
    last INTEGER NOT NULL
) STRICT;
INSERT INTO annals_fences (id, last) VALUES (1, 0);

CREATE TABLE annals_responses (
    -- Whose key it is; a principal, or a part of one. Compared byte by byte, as the key is.
    scope            TEXT    NOT NULL CHECK (length(scope) BETWEEN 1 AND 255),
    idempotency_key  TEXT    NOT NULL CHECK (length(idempotency_key) BETWEEN 1 AND 255),
    -- SHA-256 of the request, and by which recipe it was made.
    fingerprint      BLOB    NOT NULL CHECK (length(fingerprint) = 32),
    recipe           INTEGER NOT NULL CHECK (recipe >= 1),
    state            TEXT    NOT NULL CHECK (state IN ('running', 'completed', 'dead')),
    -- Whoever has the current one may answer.
    fence            INTEGER NOT NULL,
    -- Names the execution over all its attempts; a key that is used anew has another.
    run_id           BLOB    NOT NULL CHECK (length(run_id) = 16),
    attempts         INTEGER NOT NULL CHECK (attempts >= 0),
    -- Until when whoever is at work has the right to it. Times are microseconds since 1970, UTC.
    lease_expires_at INTEGER,
    created_at       INTEGER NOT NULL,
    completed_at     INTEGER,
    -- From then on the key is free, unless somebody is at work.
    expires_at       INTEGER NOT NULL,
    -- The answer. Headers as a JSON list of pairs, each byte of a value one character.
    status           INTEGER CHECK (status BETWEEN 100 AND 999),
    headers          TEXT,
    body_kind        TEXT    CHECK (body_kind IN ('whole', 'tombstone', 'reference')),
    body             BLOB,
    -- The request, where somebody else is to finish it if it is abandoned: method, URI, headers.
    request          TEXT,
    request_body     BLOB,
    -- What an operator last did to it.
    operation        TEXT,
    operator         TEXT,
    operated_at      INTEGER,
    PRIMARY KEY (scope, idempotency_key),
    CHECK ((state = 'running') = (lease_expires_at IS NOT NULL)),
    CHECK ((state = 'running') = (status IS NULL)),
    CHECK ((status IS NULL) = (body_kind IS NULL)),
    CHECK ((operation IS NULL) = (operated_at IS NULL))
) STRICT;

CREATE INDEX annals_responses_expires_at ON annals_responses (expires_at);
CREATE INDEX annals_responses_abandoned ON annals_responses (lease_expires_at) WHERE request IS NOT NULL AND state = 'running';

CREATE TABLE annals_steps (
    run_id     BLOB    NOT NULL CHECK (length(run_id) = 16),
    name       TEXT    NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    -- In which order steps were begun.
    ordinal    INTEGER NOT NULL CHECK (ordinal >= 1),
    -- 0 begun, 1 done, 2 refused, 3 being undone, 4 undone. Only ever goes forward.
    state      INTEGER NOT NULL CHECK (state BETWEEN 0 AND 4),
    -- What came of it, as JSON.
    result     TEXT,
    -- Whoever has a lower one writes nothing.
    fence      INTEGER NOT NULL,
    written_at INTEGER NOT NULL,
    expires_at INTEGER,
    PRIMARY KEY (run_id, name)
) STRICT, WITHOUT ROWID;

CREATE INDEX annals_steps_expires_at ON annals_steps (expires_at) WHERE expires_at IS NOT NULL;
