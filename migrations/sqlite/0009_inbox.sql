-- Which messages were taken in.

CREATE TABLE annals_inbox (
    consumer    TEXT    NOT NULL CHECK (length(consumer) BETWEEN 1 AND 200),
    message_id  TEXT    NOT NULL CHECK (length(message_id) BETWEEN 1 AND 255),
    -- SHA-256 of what it says.
    content     BLOB    NOT NULL CHECK (length(content) = 32),
    received_at INTEGER NOT NULL,
    -- From then on it is forgotten; NULL: never.
    expires_at  INTEGER,
    PRIMARY KEY (consumer, message_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX annals_inbox_expires_at ON annals_inbox (expires_at) WHERE expires_at IS NOT NULL;

-- The last message of each source that counts its own.
CREATE TABLE annals_inbox_places (
    consumer TEXT    NOT NULL CHECK (length(consumer) BETWEEN 1 AND 200),
    source   BLOB    NOT NULL CHECK (length(source) = 16),
    sequence INTEGER NOT NULL CHECK (sequence >= 1),
    PRIMARY KEY (consumer, source)
) STRICT, WITHOUT ROWID;
