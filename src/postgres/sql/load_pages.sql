-- Reads the beginnings of several streams with one round trip. For each stream one entry: $1 aggregate ids, $2 after
-- sequences (0: all), $3 snapshot versions or null, $4 idempotency keys or null. $5 the most events of each, $6 now.
-- The rows of a stream stand together and bear its number, from 1: first the snapshot, if one fits, then events, both as in
-- load_stream.sql. A stream of which nothing is read has one row of nulls. The version is told where only a part was asked
-- for. Where a receipt stands under the key nothing is read.
-- OFFSET 0 keeps each look-up one per row, by its index.
-- Differs because SQLite has no round trips to save: there each stream is read by itself.
SELECT event.aggregate_id, event.sequence, event.position, event.command_id, event.checksum, event.recorded_at,
       event.schema_version, event.aggregate_type, event.event_type, event.payload, event.metadata,
       event.snapshot_version, input.number, receipt.found IS NOT NULL AS has_receipt,
       CASE WHEN input.after > 0 THEN (
           SELECT max(head.sequence) FROM annals_events AS head WHERE head.aggregate_id = input.aggregate_id
       ) END AS version
FROM unnest($1::uuid[], $2::bigint[], $3::int[], $4::text[]) WITH ORDINALITY
        AS input (aggregate_id, after, snapshot_version, idempotency_key, number)
    LEFT JOIN LATERAL (
        SELECT 1 AS found
        FROM annals_receipts AS kept
        WHERE kept.aggregate_id = input.aggregate_id AND kept.idempotency_key = input.idempotency_key
          AND (kept.expires_at IS NULL OR kept.expires_at > $6::timestamptz)
        OFFSET 0
    ) AS receipt ON true
    LEFT JOIN LATERAL (
        SELECT taken.snapshot_version, taken.state, taken.checksum AS state_checksum, base.*
        FROM annals_snapshots AS taken
        JOIN annals_events AS base
            ON base.aggregate_id = taken.aggregate_id
           AND base.sequence = taken.sequence
           AND base.checksum = taken.event_checksum
        WHERE taken.aggregate_id = input.aggregate_id AND taken.snapshot_version = input.snapshot_version
        OFFSET 0
    ) AS snapshot ON true
    LEFT JOIN LATERAL (
        SELECT snapshot.aggregate_id, snapshot.sequence, snapshot.position, snapshot.command_id,
               snapshot.state_checksum AS checksum, snapshot.recorded_at, snapshot.schema_version,
               snapshot.aggregate_type, snapshot.event_type, snapshot.state AS payload, snapshot.metadata,
               snapshot.snapshot_version
        WHERE snapshot.sequence IS NOT NULL AND receipt.found IS NULL
        UNION ALL
        (SELECT stored.aggregate_id, stored.sequence, stored.position, stored.command_id, stored.checksum,
                stored.recorded_at, stored.schema_version, stored.aggregate_type, stored.event_type, stored.payload,
                stored.metadata, NULL
         FROM annals_events AS stored
         WHERE stored.aggregate_id = input.aggregate_id AND receipt.found IS NULL
           AND stored.sequence > greatest(input.after, snapshot.sequence)
         ORDER BY stored.sequence
         LIMIT $5::bigint)
    ) AS event ON true
