-- What is due at a time, and who sees to it.

CREATE TABLE annals_timers (
    queue            TEXT    NOT NULL CHECK (length(queue) BETWEEN 1 AND 200),
    timer_id         BLOB    NOT NULL CHECK (length(timer_id) = 16),
    -- 0 waiting or being fired, 1 parked, 2 fired, 3 cancelled.
    state            INTEGER NOT NULL CHECK (state BETWEEN 0 AND 3),
    -- Times are microseconds since 1970, UTC.
    due_at           INTEGER NOT NULL,
    -- When it is looked at next: when it is due, when it is tried again, or when the lease of whoever fires it lapses.
    next_at          INTEGER NOT NULL,
    payload          TEXT,
    -- Rises with whatever is done to it from outside; whoever holds it finds out.
    revision         INTEGER NOT NULL CHECK (revision >= 1),
    -- Whoever holds the current one may say what became of it; drawn from the fences of requests.
    fence            INTEGER NOT NULL,
    -- How often it was taken since it last got on.
    attempts         INTEGER NOT NULL CHECK (attempts >= 0),
    owner            TEXT,
    lease_expires_at INTEGER,
    renewed_at       INTEGER,
    failure          TEXT,
    failed_at        INTEGER,
    scheduled_at     INTEGER NOT NULL,
    -- From then on the id is forgotten, once it has fired or was cancelled.
    expires_at       INTEGER,
    PRIMARY KEY (queue, timer_id),
    CHECK ((owner IS NULL) = (lease_expires_at IS NULL)),
    CHECK ((failure IS NULL) = (failed_at IS NULL)),
    CHECK (state >= 2 OR expires_at IS NULL)
) STRICT, WITHOUT ROWID;

CREATE INDEX annals_timers_next_at ON annals_timers (queue, next_at) WHERE state = 0;
CREATE INDEX annals_timers_parked ON annals_timers (queue, timer_id) WHERE state = 1;
CREATE INDEX annals_timers_expires_at ON annals_timers (expires_at) WHERE expires_at IS NOT NULL;
