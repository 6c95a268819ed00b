-- Writes a batch of appends of one event each at versions that were named, no two to one aggregate: half the price of
-- append_batch.sql. A plain INSERT is tried first: append_unkeyed_events.sql, append_keyed_events.sql.
-- One entry each: $1 aggregate ids, $2 aggregate types, $3 command ids, $4 expected versions, $5 command ids they follow or
-- null, $6 metadata, $7 event types, $8 schema versions, $9 payloads, $10 checksums, $11 idempotency keys or null,
-- $12 fingerprints or null, $13 when their receipts expire or null. All: $14 recorded at.
-- One row per append that was written. What is missing has lost or was refused, and is no answer yet: read_standing.sql
-- tells, in a snapshot of its own.
-- Differs because several processes write: SQLite's one writer looks first (read_standing.sql) and then inserts.
WITH bound AS MATERIALIZED (
    -- See append_batch.sql: nextval needs the value that takes the lock, and so the lock comes first.
    SELECT CASE WHEN pg_advisory_xact_lock_shared(
                         'annals_positions'::regclass::oid::int,
                         (SELECT (last_value - (NOT is_called)::int)::bit(32)::int FROM annals_positions)) IS NOT NULL
                THEN 'annals_positions'::regclass END AS positions
), input AS MATERIALIZED (
    -- In one order for all, which keeps two batches from a deadlock. generate_subscripts: see append_batch.sql.
    SELECT *
    FROM ROWS FROM (unnest($1::uuid[]), unnest($2::text[]), unnest($3::uuid[]), unnest($4::bigint[]),
                    unnest($5::uuid[]), unnest($6::text[]), unnest($7::text[]), unnest($8::int[]), unnest($9::text[]),
                    unnest($10::bigint[]), unnest($11::text[]), unnest($12::bytea[]), unnest($13::timestamptz[]),
                    generate_subscripts($1::uuid[], 1))
        AS append (aggregate_id, aggregate_type, command_id, expected, follows, metadata, event_type, schema_version,
                   payload, checksum, idempotency_key, fingerprint, expires_at, number)
    ORDER BY aggregate_id
), events AS (
    INSERT INTO annals_events (aggregate_id, sequence, position, command_id, checksum, recorded_at, schema_version,
                               aggregate_type, event_type, payload, metadata)
    SELECT input.aggregate_id, input.expected + 1, nextval(bound.positions), input.command_id, input.checksum, $14,
           input.schema_version, input.aggregate_type, input.event_type, input.payload::json, input.metadata::json
    FROM input CROSS JOIN bound
    -- The version is not beyond what is expected, or the place is taken. OFFSET 0 keeps the look-ups one per row.
    WHERE (input.expected = 0 AND input.follows IS NULL
           OR EXISTS (
               SELECT 1 FROM annals_events AS head
               WHERE head.aggregate_id = input.aggregate_id AND head.sequence = input.expected
                 AND head.aggregate_type = input.aggregate_type
                 AND (input.follows IS NULL OR input.follows = head.command_id)
               OFFSET 0
           ))
      -- No receipt is there, were it expired.
      AND (input.idempotency_key IS NULL
           OR NOT EXISTS (
               SELECT 1 FROM annals_receipts AS receipt
               WHERE receipt.aggregate_id = input.aggregate_id AND receipt.idempotency_key = input.idempotency_key
               OFFSET 0
           ))
    ON CONFLICT (aggregate_id, sequence) DO NOTHING
    RETURNING aggregate_id, sequence, position
), receipts AS (
    -- Never DO NOTHING, and after the events: see append_batch.sql.
    INSERT INTO annals_receipts (aggregate_id, idempotency_key, command_id, fingerprint, outcome, first_sequence,
                                 last_sequence, recorded_at, expires_at)
    SELECT aggregate_id, input.idempotency_key, input.command_id, input.fingerprint, 'accepted', events.sequence,
           events.sequence, $14, input.expires_at
    FROM events JOIN input USING (aggregate_id)
    WHERE input.idempotency_key IS NOT NULL
    ORDER BY aggregate_id
)
SELECT input.number::bigint AS number, events.sequence - 1 AS version, events.position
FROM events JOIN input USING (aggregate_id)
