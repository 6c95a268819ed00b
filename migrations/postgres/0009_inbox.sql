-- Which messages were taken in.

CREATE TABLE annals_inbox (
    consumer    text        COLLATE "C" NOT NULL CHECK (length(consumer) BETWEEN 1 AND 200),
    message_id  text        COLLATE "C" NOT NULL CHECK (length(message_id) BETWEEN 1 AND 255),
    -- SHA-256 of what it says.
    content     bytea       NOT NULL CHECK (length(content) = 32),
    received_at timestamptz NOT NULL,
    -- From then on it is forgotten; NULL: never.
    expires_at  timestamptz,
    PRIMARY KEY (consumer, message_id)
);

CREATE INDEX annals_inbox_expires_at ON annals_inbox (expires_at) WHERE expires_at IS NOT NULL;

-- The last message of each source that counts its own.
CREATE TABLE annals_inbox_places (
    consumer text   COLLATE "C" NOT NULL CHECK (length(consumer) BETWEEN 1 AND 200),
    source   uuid   NOT NULL,
    sequence bigint NOT NULL CHECK (sequence >= 1),
    PRIMARY KEY (consumer, source)
);
