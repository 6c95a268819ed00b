-- Writes a batch of appends of one event each at versions that were named, no two to one aggregate and some or all with a
-- key, in a plain INSERT: six sevenths of the price of append_events.sql.
-- One entry each: $1 aggregate ids, $2 aggregate types, $3 command ids, $4 expected versions, $5 command ids they follow or
-- null, $6 metadata, $7 event types, $8 schema versions, $9 payloads, $10 checksums, $11 idempotency keys or null,
-- $12 fingerprints or null, $13 when their receipts expire or null. All: $14 recorded at.
-- One row per append that was written. What is missing has lost or was refused, and is no answer yet: read_standing.sql
-- tells, in a snapshot of its own. Where another's append comes in between, be it under a key alone, all is taken back with
-- a unique violation, and is for append_events.sql to write.
-- Differs because several processes write: SQLite's one writer looks first (read_standing.sql) and then inserts.
WITH bound AS MATERIALIZED (
    -- See append_batch.sql: nextval needs the value that takes the lock, and so the lock comes first.
    SELECT CASE WHEN pg_advisory_xact_lock_shared(
                         'annals_positions'::regclass::oid::int,
                         (SELECT (last_value - (NOT is_called)::int)::bit(32)::int FROM annals_positions)) IS NOT NULL
                THEN 'annals_positions'::regclass END AS positions
), granted AS MATERIALIZED (
    -- In one order for all, which keeps two batches from a deadlock. generate_subscripts: see append_batch.sql.
    SELECT *
    FROM ROWS FROM (unnest($1::uuid[]), unnest($2::text[]), unnest($3::uuid[]), unnest($4::bigint[]),
                    unnest($5::uuid[]), unnest($6::text[]), unnest($7::text[]), unnest($8::int[]), unnest($9::json[]),
                    unnest($10::bigint[]), unnest($11::text[]), unnest($12::bytea[]), unnest($13::timestamptz[]),
                    generate_subscripts($1::uuid[], 1))
        AS append (aggregate_id, aggregate_type, command_id, expected, follows, metadata, event_type, schema_version,
                   payload, checksum, idempotency_key, fingerprint, expires_at, number)
    -- The aggregate stands where it is expected: one look at its last event tells.
    WHERE coalesce((
              SELECT head.sequence = append.expected AND head.aggregate_type = append.aggregate_type
                     AND (append.follows IS NULL OR append.follows = head.command_id)
              FROM annals_events AS head
              WHERE head.aggregate_id = append.aggregate_id
              ORDER BY head.sequence DESC
              LIMIT 1
          ), append.expected = 0 AND append.follows IS NULL)
      -- No receipt is there, were it expired: a command that is sent again takes nobody along.
      AND (append.idempotency_key IS NULL
           OR NOT EXISTS (
               SELECT 1 FROM annals_receipts AS receipt
               WHERE receipt.aggregate_id = append.aggregate_id AND receipt.idempotency_key = append.idempotency_key
               OFFSET 0
           ))
    ORDER BY aggregate_id
), events AS (
    INSERT INTO annals_events (aggregate_id, sequence, position, command_id, checksum, recorded_at, schema_version,
                               aggregate_type, event_type, payload, metadata)
    SELECT aggregate_id, expected + 1, nextval(bound.positions), command_id, checksum, $14, schema_version,
           aggregate_type, event_type, payload, metadata::json
    FROM granted CROSS JOIN bound
    RETURNING aggregate_id, position
), receipts AS (
    -- After the events, by way of their number: see append_batch.sql.
    INSERT INTO annals_receipts (aggregate_id, idempotency_key, command_id, fingerprint, outcome, first_sequence,
                                 last_sequence, recorded_at, expires_at)
    SELECT aggregate_id, idempotency_key, command_id, fingerprint, 'accepted', expected + 1, expected + 1, $14,
           expires_at
    FROM granted
    WHERE idempotency_key IS NOT NULL AND (SELECT count(*) FROM events) > 0
)
SELECT aggregate_id, position FROM events
