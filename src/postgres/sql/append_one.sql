-- Writes one append, all or nothing, with one statement: append_batch.sql for a batch of one, at half its price.
-- $1 aggregate id, $2 aggregate type, $3 command id, $4 expected version (-1 any, -2 at least one event), $5 command id it
-- follows or null, $6 metadata, $7 idempotency key or null, $8 fingerprint or null, $9 rejection or null, $10 when its
-- receipt expires or null, $11 event types, $12 schema versions, $13 payloads, $14 checksums, $15 recorded at.
-- One row if it was written; none where it has lost or was refused: read_standing.sql tells.
-- Differs because several processes write: SQLite's one writer looks first (read_standing.sql) and then inserts.
WITH bound AS MATERIALIZED (
    -- See append_batch.sql: nextval needs this row's value, and so the lock is taken before it.
    SELECT CASE WHEN pg_advisory_xact_lock_shared(
                         'annals_positions'::regclass::oid::int,
                         (SELECT (last_value - (NOT is_called)::int)::bit(32)::int FROM annals_positions)) IS NOT NULL
                THEN 'annals_positions'::regclass END AS positions
), granted AS MATERIALIZED (
    SELECT coalesce(head.sequence, 0) AS version
    FROM (VALUES ($4::bigint)) AS append (expected) LEFT JOIN LATERAL (
        SELECT event.sequence, event.aggregate_type, event.command_id
        FROM annals_events AS event
        WHERE event.aggregate_id = $1::uuid
        ORDER BY event.sequence DESC
        LIMIT 1
    ) AS head ON true
    WHERE CASE append.expected WHEN -1 THEN true
                               WHEN -2 THEN head.sequence IS NOT NULL
                               ELSE append.expected = coalesce(head.sequence, 0) END
      AND (head.sequence IS NULL OR head.aggregate_type = $2::text)
      AND ($5::uuid IS NULL OR $5::uuid = head.command_id)
      AND NOT EXISTS (
          SELECT 1 FROM annals_receipts AS receipt
          WHERE receipt.aggregate_id = $1::uuid AND receipt.idempotency_key = $7::text
      )
), placed AS MATERIALIZED (
    SELECT granted.version + event.place AS sequence, nextval(bound.positions) AS position, event.*
    FROM unnest($11::text[], $12::int[], $13::text[], $14::bigint[])
            WITH ORDINALITY AS event (event_type, schema_version, payload, checksum, place)
        CROSS JOIN granted
        CROSS JOIN bound
    ORDER BY event.place
), first AS (
    INSERT INTO annals_events (aggregate_id, sequence, position, command_id, checksum, recorded_at, schema_version,
                               aggregate_type, event_type, payload, metadata)
    SELECT $1::uuid, sequence, position, $3::uuid, checksum, $15::timestamptz, schema_version, $2::text, event_type,
           payload::json, $6::json
    FROM placed
    WHERE place = 1
    ON CONFLICT (aggregate_id, sequence) DO NOTHING
    RETURNING aggregate_id
), won AS MATERIALIZED (
    SELECT version FROM granted WHERE cardinality($11::text[]) = 0 OR EXISTS (SELECT 1 FROM first)
), others AS (
    INSERT INTO annals_events (aggregate_id, sequence, position, command_id, checksum, recorded_at, schema_version,
                               aggregate_type, event_type, payload, metadata)
    SELECT $1::uuid, placed.sequence, placed.position, $3::uuid, placed.checksum, $15::timestamptz,
           placed.schema_version, $2::text, placed.event_type, placed.payload::json, $6::json
    FROM placed CROSS JOIN won
    WHERE placed.place > 1
    ORDER BY placed.sequence
), receipt AS (
    -- Never DO NOTHING, see append_batch.sql.
    INSERT INTO annals_receipts (aggregate_id, idempotency_key, command_id, fingerprint, outcome, first_sequence,
                                 last_sequence, rejection, recorded_at, expires_at)
    SELECT $1::uuid, $7::text, $3::uuid, $8::bytea, CASE WHEN $9::json IS NULL THEN 'accepted' ELSE 'rejected' END,
           won.version + 1, won.version + cardinality($11::text[]), $9::json, $15::timestamptz, $10::timestamptz
    FROM won
    WHERE $7::text IS NOT NULL
)
SELECT won.version, (SELECT max(position) FROM placed) AS position FROM won
