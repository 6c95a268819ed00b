-- Writes one event at a version that was named, with nothing to keep beside it: what most appends are, at a third of the
-- price of append_one.sql.
-- $1 aggregate id, $2 aggregate type, $3 command id, $4 expected version, $5 command id it follows or null, $6 metadata,
-- $7 event type, $8 schema version, $9 payload, $10 checksum, $11 recorded at.
-- One row if it was written; none where it has lost or was refused: read_standing.sql tells.
-- Differs because several processes write: SQLite's one writer looks first (read_standing.sql) and then inserts.
INSERT INTO annals_events (aggregate_id, sequence, position, command_id, checksum, recorded_at, schema_version,
                           aggregate_type, event_type, payload, metadata)
SELECT $1::uuid, $4::bigint + 1,
       -- See append_batch.sql: nextval needs the value that takes the lock, and so the lock comes first.
       nextval(CASE WHEN pg_advisory_xact_lock_shared(
                             'annals_positions'::regclass::oid::int,
                             (SELECT (last_value - (NOT is_called)::int)::bit(32)::int FROM annals_positions)) IS NOT NULL
                    THEN 'annals_positions'::regclass END),
       $3::uuid, $10::bigint, $11::timestamptz, $8::int, $2::text, $7::text, $9::json, $6::json
-- The version is not beyond what is expected, or the place is taken.
WHERE ($4::bigint = 0 AND $5::uuid IS NULL)
   OR EXISTS (
       SELECT 1 FROM annals_events AS head
       WHERE head.aggregate_id = $1::uuid AND head.sequence = $4::bigint AND head.aggregate_type = $2::text
         AND ($5::uuid IS NULL OR head.command_id = $5::uuid)
   )
ON CONFLICT (aggregate_id, sequence) DO NOTHING
RETURNING sequence - 1 AS version, position
