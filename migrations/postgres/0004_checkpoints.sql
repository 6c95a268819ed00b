-- Checkpoints: how far each subscription and projection has come, and who runs it.

CREATE TABLE annals_checkpoints (
    -- Compared byte by byte.
    name             text        COLLATE "C" NOT NULL CHECK (length(name) BETWEEN 1 AND 255),
    -- A name that is split among runners by aggregate has a checkpoint for each part, from 0.
    partition        integer     NOT NULL DEFAULT 0 CHECK (partition >= 0),
    -- A name is of one kind: a subscription cannot take over where a projection stands.
    kind             text        NOT NULL CHECK (kind IN ('subscription', 'projection')),
    -- Every event up to and including this position was handled, or passed over by the selection. 0 before the first.
    position         bigint      NOT NULL DEFAULT 0 CHECK (position >= 0),
    -- The event at that position, to know it by: a log that was set back gives its positions out again. Null before the
    -- first event, and where a subscription begins at the end of the log.
    aggregate_id     uuid,
    sequence         bigint      CHECK (sequence >= 1),
    command_id       uuid,
    recorded_at      timestamptz,
    -- Rises by one with every runner that takes over. The position is only ever moved by compare-and-set on the fence and
    -- the position before: of two that both believe to be the runner, the late one moves nothing.
    fence            bigint      NOT NULL DEFAULT 0 CHECK (fence >= 0),
    -- Who runs it, and until when unless it says so again; null: nobody. Said again by the batch that moves the position;
    -- between batches by an UPDATE that skips the row while a batch holds it, so that it never waits.
    lease_owner      text        CHECK (length(lease_owner) BETWEEN 1 AND 255),
    lease_expires_at timestamptz,
    -- When the position was last moved.
    updated_at       timestamptz NOT NULL,
    PRIMARY KEY (name, partition),
    CHECK ((aggregate_id IS NULL) = (sequence IS NULL)
       AND (aggregate_id IS NULL) = (command_id IS NULL)
       AND (aggregate_id IS NULL) = (recorded_at IS NULL)),
    CHECK (aggregate_id IS NULL OR position > 0),
    CHECK ((lease_owner IS NULL) = (lease_expires_at IS NULL))
);
