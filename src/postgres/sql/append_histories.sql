-- Writes a batch of appends of several events each at versions that were named, no two to one aggregate, in one INSERT:
-- three quarters of the price of append_batch.sql.
-- Appends, one entry each: $1 aggregate ids, $2 aggregate types, $3 command ids, $4 expected versions, $5 command ids they
-- follow or null, $6 metadata. Events, one entry each: $7 numbers of their appends (from 1), $8 places within these
-- (from 1), $9 event types, $10 schema versions, $11 payloads, $12 checksums. All: $13 recorded at.
-- One row per append that was written. What is missing has lost or was refused, and is no answer yet: read_standing.sql
-- tells, in a snapshot of its own. Where another's append comes in between, all is taken back with a unique violation, and
-- is for append_batch.sql to write: to pass over what is taken would write the rest of an append without its beginning.
-- Differs because several processes write: SQLite's one writer looks first (read_standing.sql) and then inserts.
WITH bound AS MATERIALIZED (
    -- See append_batch.sql: nextval needs the value that takes the lock, and so the lock comes first.
    SELECT CASE WHEN pg_advisory_xact_lock_shared(
                         'annals_positions'::regclass::oid::int,
                         (SELECT (last_value - (NOT is_called)::int)::bit(32)::int FROM annals_positions)) IS NOT NULL
                THEN 'annals_positions'::regclass END AS positions
), granted AS MATERIALIZED (
    -- The aggregates that stand where they are expected: one look at the last event tells.
    SELECT number, aggregate_id, aggregate_type, command_id, expected, metadata::json AS metadata
    FROM ROWS FROM (unnest($1::uuid[]), unnest($2::text[]), unnest($3::uuid[]), unnest($4::bigint[]),
                    unnest($5::uuid[]), unnest($6::text[]), generate_subscripts($1::uuid[], 1))
        AS append (aggregate_id, aggregate_type, command_id, expected, follows, metadata, number)
    WHERE coalesce((
        SELECT head.sequence = append.expected AND head.aggregate_type = append.aggregate_type
               AND (append.follows IS NULL OR append.follows = head.command_id)
        FROM annals_events AS head
        WHERE head.aggregate_id = append.aggregate_id
        ORDER BY head.sequence DESC
        LIMIT 1
    ), expected = 0 AND follows IS NULL)
), events AS (
    -- In one order for all, which keeps two batches from a deadlock, and in that of sequences, so that an aggregate's
    -- positions rise with them. generate_subscripts: see append_batch.sql.
    INSERT INTO annals_events (aggregate_id, sequence, position, command_id, checksum, recorded_at, schema_version,
                               aggregate_type, event_type, payload, metadata)
    SELECT granted.aggregate_id, granted.expected + event.place, nextval(bound.positions), granted.command_id,
           event.checksum, $13, event.schema_version, granted.aggregate_type, event.event_type, event.payload,
           granted.metadata
    FROM ROWS FROM (unnest($7::bigint[]), unnest($8::bigint[]), unnest($9::text[]), unnest($10::int[]),
                    unnest($11::json[]), unnest($12::bigint[]), generate_subscripts($7::bigint[], 1))
            AS event (number, place, event_type, schema_version, payload, checksum, at)
        JOIN granted USING (number)
        CROSS JOIN bound
    ORDER BY granted.aggregate_id, event.place
    RETURNING aggregate_id, position
)
SELECT aggregate_id, max(position) AS position FROM events GROUP BY aggregate_id
