-- The read side: what runners tell of themselves, and the events they have set aside.

ALTER TABLE annals_checkpoints
    -- Into how many partitions the name is split.
    ADD COLUMN partitions integer NOT NULL DEFAULT 1 CHECK (partitions >= 1),
    -- The last sign of life of whoever has the lease.
    ADD COLUMN renewed_at timestamptz,
    -- Which build of a projection's tables its views show, 0 before the first; and the version of the code that built them.
    ADD COLUMN build      integer NOT NULL DEFAULT 0 CHECK (build >= 0),
    ADD COLUMN version    integer NOT NULL DEFAULT 0 CHECK (version >= 0),
    -- How many runners in a row have ended at this position without letting go of the lease.
    ADD COLUMN crashes    integer NOT NULL DEFAULT 0 CHECK (crashes >= 0),
    -- The event that a runner began after a crash, and how often runners have: one that kills them is known by it.
    ADD COLUMN begun      bigint  CHECK (begun >= 1),
    ADD COLUMN beginnings integer NOT NULL DEFAULT 0 CHECK (beginnings >= 0),
    -- What went wrong last, since the position was last moved.
    ADD COLUMN failure    text,
    ADD COLUMN failed_at  timestamptz,
    -- Since when nobody may run it.
    ADD COLUMN paused_at  timestamptz,
    ADD CHECK ((failure IS NULL) = (failed_at IS NULL));

CREATE TABLE annals_parked_events (
    -- The subscription or projection, as in annals_checkpoints.
    name         text        COLLATE "C" NOT NULL CHECK (length(name) BETWEEN 1 AND 255),
    aggregate_id uuid        NOT NULL,
    sequence     bigint      NOT NULL CHECK (sequence >= 1),
    position     bigint      NOT NULL CHECK (position >= 1),
    -- What was wrong with it; null: an earlier event of its aggregate is parked.
    error        text,
    attempts     integer     NOT NULL CHECK (attempts >= 0),
    parked_at    timestamptz NOT NULL,
    PRIMARY KEY (name, aggregate_id, sequence)
);

CREATE INDEX annals_parked_events_position ON annals_parked_events (name, position);
