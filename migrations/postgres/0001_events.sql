-- Events: the history of every aggregate, written once and never changed.

-- The places in the log. CACHE 1: a connection that kept places in hand would use them after others' greater ones.
CREATE SEQUENCE annals_positions AS bigint START WITH 1 CACHE 1;

CREATE TABLE annals_events (
    aggregate_id   uuid        NOT NULL,
    sequence       bigint      NOT NULL CHECK (sequence >= 1),
    -- The place in the log. Not UNIQUE: every key begins with the aggregate, so that the table can be spread by it.
    position       bigint      NOT NULL,
    command_id     uuid        NOT NULL,
    -- xxh3-64, as a signed number.
    checksum       bigint      NOT NULL,
    recorded_at    timestamptz NOT NULL,
    schema_version integer     NOT NULL CHECK (schema_version >= 1),
    aggregate_type text        NOT NULL,
    event_type     text        NOT NULL,
    -- JSON, byte by byte as it was written: the checksum is over these bytes. So it is json and not jsonb.
    payload        json        NOT NULL,
    metadata       json        NOT NULL,
    PRIMARY KEY (aggregate_id, sequence)
);

CREATE INDEX annals_events_position ON annals_events (position);

ALTER SEQUENCE annals_positions OWNED BY annals_events.position;

CREATE FUNCTION annals_events_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'annals_events is append-only: % is refused', TG_OP USING ERRCODE = 'restrict_violation';
END
$$;

CREATE TRIGGER annals_events_refuse_change BEFORE UPDATE OR DELETE OR TRUNCATE ON annals_events
    FOR EACH STATEMENT EXECUTE FUNCTION annals_events_refuse();
