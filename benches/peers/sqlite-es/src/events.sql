-- The table that sqlite-es expects, with the columns and the key of its own migrations, which it does not run by itself.
CREATE TABLE IF NOT EXISTS events (
    aggregate_type text NOT NULL,
    aggregate_id text NOT NULL,
    sequence integer NOT NULL CHECK (sequence >= 0),
    event_type text NOT NULL,
    event_version text NOT NULL,
    payload text NOT NULL,
    metadata text NOT NULL,
    PRIMARY KEY (aggregate_type, aggregate_id, sequence)
) STRICT;
-- A table for each kind of view, as well.
CREATE TABLE IF NOT EXISTS order_summaries (
    view_id text NOT NULL,
    version integer NOT NULL CHECK (version >= 0),
    payload text NOT NULL,
    PRIMARY KEY (view_id)
) STRICT;
