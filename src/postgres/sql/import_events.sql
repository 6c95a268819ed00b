-- Writes events of another database at the end of the log, in their order.
-- One entry each: $1 aggregate ids, $2 sequences, $3 command ids, $4 checksums, $5 recorded at, $6 schema versions,
-- $7 aggregate types, $8 event types, $9 payloads, $10 metadata.
-- An event in whose place there is one takes the whole statement back: who sent it looks again (find_versions.sql).
-- Differs because several processes write: SQLite's one writer knows the last position (insert_event.sql).
WITH bound AS MATERIALIZED (
    -- "My positions will be greater than this": see read_horizon.sql. The lock is taken because nextval below needs this
    -- row's value; a row that nobody needs is not computed, and takes no lock.
    SELECT CASE WHEN pg_advisory_xact_lock_shared(
                         'annals_positions'::regclass::oid::int,
                         (SELECT (last_value - (NOT is_called)::int)::bit(32)::int FROM annals_positions)) IS NOT NULL
                THEN 'annals_positions'::regclass END AS positions
), placed AS MATERIALIZED (
    -- Positions in the order in which they came.
    SELECT input.*, nextval(bound.positions) AS position
    FROM unnest($1::uuid[], $2::bigint[], $3::uuid[], $4::bigint[], $5::timestamptz[], $6::int[], $7::text[], $8::text[],
                $9::text[], $10::text[]) WITH ORDINALITY
            AS input (aggregate_id, sequence, command_id, checksum, recorded_at, schema_version, aggregate_type, event_type,
                      payload, metadata, number)
        CROSS JOIN bound
    ORDER BY input.number
)
INSERT INTO annals_events (aggregate_id, sequence, position, command_id, checksum, recorded_at, schema_version,
                           aggregate_type, event_type, payload, metadata)
SELECT aggregate_id, sequence, position, command_id, checksum, recorded_at, schema_version, aggregate_type, event_type,
       payload::json, metadata::json
FROM placed
-- One order for all who write: it keeps them from a deadlock.
ORDER BY aggregate_id, sequence
