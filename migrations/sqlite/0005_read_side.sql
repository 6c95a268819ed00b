-- The read side: what runners tell of themselves, and the events they have set aside.

-- Into how many partitions the name is split.
ALTER TABLE annals_checkpoints ADD COLUMN partitions INTEGER NOT NULL DEFAULT 1 CHECK (partitions >= 1);
-- The last sign of life of whoever has the lease.
ALTER TABLE annals_checkpoints ADD COLUMN renewed_at INTEGER;
-- Which build of a projection's tables its views show, 0 before the first; and the version of the code that built them.
ALTER TABLE annals_checkpoints ADD COLUMN build INTEGER NOT NULL DEFAULT 0 CHECK (build >= 0);
ALTER TABLE annals_checkpoints ADD COLUMN version INTEGER NOT NULL DEFAULT 0 CHECK (version >= 0);
-- How many runners in a row have ended at this position without letting go of the lease.
ALTER TABLE annals_checkpoints ADD COLUMN crashes INTEGER NOT NULL DEFAULT 0 CHECK (crashes >= 0);
-- The event that a runner began after a crash, and how often runners have: one that kills them is known by it.
ALTER TABLE annals_checkpoints ADD COLUMN begun INTEGER CHECK (begun >= 1);
ALTER TABLE annals_checkpoints ADD COLUMN beginnings INTEGER NOT NULL DEFAULT 0 CHECK (beginnings >= 0);
-- What went wrong last, since the position was last moved.
ALTER TABLE annals_checkpoints ADD COLUMN failure TEXT;
ALTER TABLE annals_checkpoints ADD COLUMN failed_at INTEGER CHECK ((failure IS NULL) = (failed_at IS NULL));
-- Since when nobody may run it.
ALTER TABLE annals_checkpoints ADD COLUMN paused_at INTEGER;

CREATE TABLE annals_parked_events (
    -- The subscription or projection, as in annals_checkpoints.
    name         TEXT    NOT NULL CHECK (length(name) BETWEEN 1 AND 255),
    aggregate_id BLOB    NOT NULL CHECK (length(aggregate_id) = 16),
    sequence     INTEGER NOT NULL CHECK (sequence >= 1),
    position     INTEGER NOT NULL CHECK (position >= 1),
    -- What was wrong with it; null: an earlier event of its aggregate is parked.
    error        TEXT,
    attempts     INTEGER NOT NULL CHECK (attempts >= 0),
    -- Microseconds since 1970, UTC.
    parked_at    INTEGER NOT NULL,
    PRIMARY KEY (name, aggregate_id, sequence)
) STRICT, WITHOUT ROWID;

CREATE INDEX annals_parked_events_position ON annals_parked_events (name, position);
