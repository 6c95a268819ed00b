-- Writes a batch of appends of one event each at versions that were named, no two to one aggregate and none with a key, in
-- a plain INSERT: two thirds of the price of append_events.sql.
-- One entry each: $1 aggregate ids, $2 aggregate types, $3 command ids, $4 expected versions, $5 command ids they follow or
-- null, $6 metadata, $7 event types, $8 schema versions, $9 payloads, $10 checksums. All: $11 recorded at.
-- One row per append that was written. What is missing has lost or was refused, and is no answer yet: read_standing.sql
-- tells, in a snapshot of its own. Where another's append comes in between, all is taken back with a unique violation, and
-- is for append_events.sql to write.
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
                    unnest($5::uuid[]), unnest($6::text[]), unnest($7::text[]), unnest($8::int[]), unnest($9::json[]),
                    unnest($10::bigint[]), generate_subscripts($1::uuid[], 1))
        AS append (aggregate_id, aggregate_type, command_id, expected, follows, metadata, event_type, schema_version,
                   payload, checksum, number)
    ORDER BY aggregate_id
)
INSERT INTO annals_events (aggregate_id, sequence, position, command_id, checksum, recorded_at, schema_version,
                           aggregate_type, event_type, payload, metadata)
SELECT input.aggregate_id, input.expected + 1, nextval(bound.positions), input.command_id, input.checksum, $11,
       input.schema_version, input.aggregate_type, input.event_type, input.payload, input.metadata::json
FROM input CROSS JOIN bound
-- The aggregate stands where it is expected: one look at its last event tells.
WHERE coalesce((
    SELECT head.sequence = input.expected AND head.aggregate_type = input.aggregate_type
           AND (input.follows IS NULL OR input.follows = head.command_id)
    FROM annals_events AS head
    WHERE head.aggregate_id = input.aggregate_id
    ORDER BY head.sequence DESC
    LIMIT 1
), input.expected = 0 AND input.follows IS NULL)
RETURNING aggregate_id, position
