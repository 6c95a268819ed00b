-- Writes one event at a version that was named, and the receipt under its key: append_one.sql for the most usual command.
-- $1 aggregate id, $2 aggregate type, $3 command id, $4 expected version, $5 command id it follows or null, $6 metadata,
-- $7 event type, $8 schema version, $9 payload, $10 checksum, $11 recorded at, $12 idempotency key, $13 fingerprint,
-- $14 when its receipt expires or null.
-- One row if it was written; none where it has lost or was refused: read_standing.sql tells.
-- Differs because several processes write: SQLite's one writer looks first (read_standing.sql) and then inserts.
WITH event AS (
    INSERT INTO annals_events (aggregate_id, sequence, position, command_id, checksum, recorded_at, schema_version,
                               aggregate_type, event_type, payload, metadata)
    SELECT $1::uuid, $4::bigint + 1,
           -- See append_batch.sql: nextval needs the value that takes the lock, and so the lock comes first.
           nextval(CASE WHEN pg_advisory_xact_lock_shared(
                                 'annals_positions'::regclass::oid::int,
                                 (SELECT (last_value - (NOT is_called)::int)::bit(32)::int FROM annals_positions))
                             IS NOT NULL
                        THEN 'annals_positions'::regclass END),
           $3::uuid, $10::bigint, $11::timestamptz, $8::int, $2::text, $7::text, $9::json, $6::json
    WHERE (($4::bigint = 0 AND $5::uuid IS NULL)
           OR EXISTS (
               SELECT 1 FROM annals_events AS head
               WHERE head.aggregate_id = $1::uuid AND head.sequence = $4::bigint AND head.aggregate_type = $2::text
                 AND ($5::uuid IS NULL OR head.command_id = $5::uuid)
           ))
      AND NOT EXISTS (
          SELECT 1 FROM annals_receipts AS receipt
          WHERE receipt.aggregate_id = $1::uuid AND receipt.idempotency_key = $12::text
      )
    ON CONFLICT (aggregate_id, sequence) DO NOTHING
    RETURNING sequence, position
), receipt AS (
    -- Never DO NOTHING, see append_batch.sql.
    INSERT INTO annals_receipts (aggregate_id, idempotency_key, command_id, fingerprint, outcome, first_sequence,
                                 last_sequence, recorded_at, expires_at)
    SELECT $1::uuid, $12::text, $3::uuid, $13::bytea, 'accepted', sequence, sequence, $11::timestamptz,
           $14::timestamptz
    FROM event
)
SELECT sequence - 1 AS version, position FROM event
