-- Writes a batch of appends, each all or nothing, with one statement.
-- Appends, one entry each: $1 aggregate ids, $2 aggregate types, $3 command ids, $4 expected versions (-1 any, -2 at least
-- one event), $5 command ids they follow or null, $6 numbers of the appends their groups begin with (from 1), $7 events
-- before them in their groups, $8 their events, $9 events of their whole groups, $10 metadata, $11 idempotency keys or
-- null, $12 fingerprints or null, $13 rejections or null, $14 when their receipts expire or null.
-- Events, one entry each: $15 numbers of their appends, $16 places within these (from 1), $17 event types,
-- $18 schema versions, $19 payloads, $20 checksums. All: $21 recorded at.
-- One row per append that was written. What is missing has lost or was refused, and is no answer yet: read_standing.sql
-- tells, in a snapshot of its own.
-- Differs because several processes write: SQLite's one writer looks first (read_standing.sql) and then inserts.
--
-- A group is what a batch holds for one aggregate, each append expecting what the one before it leaves. There is one group
-- per aggregate and statement, and it wins or loses as one.
WITH bound AS MATERIALIZED (
    -- "My positions will be greater than this": see read_horizon.sql. The lock is taken because nextval below needs this
    -- row's value; a row that nobody needs is not computed, and takes no lock.
    SELECT CASE WHEN pg_advisory_xact_lock_shared(
                         'annals_positions'::regclass::oid::int,
                         (SELECT (last_value - (NOT is_called)::int)::bit(32)::int FROM annals_positions)) IS NOT NULL
                THEN 'annals_positions'::regclass END AS positions
), input AS MATERIALIZED (
    -- Nobody knows how long the arrays are when the plan is made: ten, the planner would think, and compare each row with
    -- each. Of generate_subscripts it thinks a thousand, and it hashes.
    SELECT *
    FROM ROWS FROM (unnest($1::uuid[]), unnest($2::text[]), unnest($3::uuid[]), unnest($4::bigint[]),
                    unnest($5::uuid[]), unnest($6::bigint[]), unnest($7::bigint[]), unnest($8::bigint[]),
                    unnest($9::bigint[]), unnest($10::text[]), unnest($11::text[]), unnest($12::bytea[]),
                    unnest($13::text[]), unnest($14::timestamptz[]), generate_subscripts($1::uuid[], 1))
        AS append (aggregate_id, aggregate_type, command_id, expected, follows, group_number, events_before, events,
                   group_events, metadata, idempotency_key, fingerprint, rejection, expires_at, number)
), taken AS MATERIALIZED (
    -- Groups with an append whose key has a receipt, were it expired. OFFSET 0 keeps the look-up one per row.
    SELECT input.group_number
    FROM input CROSS JOIN LATERAL (
        SELECT 1 FROM annals_receipts AS receipt
        WHERE receipt.aggregate_id = input.aggregate_id AND receipt.idempotency_key = input.idempotency_key
        OFFSET 0
    ) AS found
    WHERE input.idempotency_key IS NOT NULL
), granted AS MATERIALIZED (
    -- What a group's first append expects holds; what the others expect follows from it.
    SELECT input.number AS group_number, input.aggregate_id, input.group_events, coalesce(head.sequence, 0) AS version
    FROM input LEFT JOIN LATERAL (
        SELECT event.sequence, event.aggregate_type, event.command_id
        FROM annals_events AS event
        WHERE event.aggregate_id = input.aggregate_id
        ORDER BY event.sequence DESC
        LIMIT 1
    ) AS head ON true
    WHERE input.number = input.group_number
      AND CASE input.expected WHEN -1 THEN true
                              WHEN -2 THEN head.sequence IS NOT NULL
                              ELSE input.expected = coalesce(head.sequence, 0) END
      AND (head.sequence IS NULL OR head.aggregate_type = input.aggregate_type)
      AND (input.follows IS NULL OR input.follows = head.command_id)
      AND input.number NOT IN (SELECT group_number FROM taken)
), placed AS MATERIALIZED (
    -- In the order of sequences, so that an aggregate's positions rise with them.
    SELECT input.number, granted.aggregate_id, granted.version + input.events_before + event.place AS sequence,
           nextval(bound.positions) AS position, event.place, input.events_before + event.place = 1 AS is_first,
           input.command_id, event.checksum, event.schema_version, input.aggregate_type, event.event_type, event.payload,
           input.metadata
    FROM ROWS FROM (unnest($15::bigint[]), unnest($16::bigint[]), unnest($17::text[]), unnest($18::int[]),
                    unnest($19::text[]), unnest($20::bigint[]), generate_subscripts($15::bigint[], 1))
            AS event (number, place, event_type, schema_version, payload, checksum, at)
        JOIN input USING (number)
        JOIN granted USING (group_number)
        CROSS JOIN bound
    ORDER BY granted.aggregate_id, input.events_before + event.place
), firsts AS (
    -- A group's first event decides: who has it has the ones behind it.
    INSERT INTO annals_events (aggregate_id, sequence, position, command_id, checksum, recorded_at, schema_version,
                               aggregate_type, event_type, payload, metadata)
    SELECT aggregate_id, sequence, position, command_id, checksum, $21, schema_version, aggregate_type, event_type,
           payload::json, metadata::json
    FROM placed
    WHERE is_first
    ORDER BY aggregate_id
    ON CONFLICT (aggregate_id, sequence) DO NOTHING
    RETURNING aggregate_id
), won AS MATERIALIZED (
    SELECT group_number, aggregate_id, version FROM granted JOIN firsts USING (aggregate_id)
    UNION ALL
    SELECT group_number, aggregate_id, version FROM granted WHERE group_events = 0
), others AS (
    INSERT INTO annals_events (aggregate_id, sequence, position, command_id, checksum, recorded_at, schema_version,
                               aggregate_type, event_type, payload, metadata)
    SELECT placed.aggregate_id, placed.sequence, placed.position, placed.command_id, placed.checksum, $21,
           placed.schema_version, placed.aggregate_type, placed.event_type, placed.payload::json, placed.metadata::json
    FROM placed JOIN won USING (aggregate_id)
    WHERE NOT placed.is_first
    ORDER BY placed.aggregate_id, placed.sequence
), receipts AS (
    -- Never DO NOTHING: two that meet on a key alone would both be told yes. An error here takes the whole statement back
    -- and the batch is run again. After the first events, by way of `won`: one order for all keeps them from a deadlock.
    INSERT INTO annals_receipts (aggregate_id, idempotency_key, command_id, fingerprint, outcome, first_sequence,
                                 last_sequence, rejection, recorded_at, expires_at)
    SELECT input.aggregate_id, input.idempotency_key, input.command_id, input.fingerprint,
           CASE WHEN input.rejection IS NULL THEN 'accepted' ELSE 'rejected' END,
           won.version + input.events_before + 1, won.version + input.events_before + input.events,
           input.rejection::json, $21, input.expires_at
    FROM input JOIN won USING (group_number)
    WHERE input.idempotency_key IS NOT NULL
    ORDER BY input.aggregate_id, input.idempotency_key
)
SELECT input.number::bigint AS number, won.version + input.events_before AS version, placed.position
FROM input
    JOIN won USING (group_number)
    LEFT JOIN placed ON placed.number = input.number AND placed.place = input.events
