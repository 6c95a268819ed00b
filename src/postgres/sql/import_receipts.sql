-- Writes receipts of another database.
-- One entry each: $1 aggregate ids, $2 idempotency keys, $3 command ids, $4 fingerprints, $5 outcomes, $6 first sequences,
-- $7 last sequences, $8 rejections or null, $9 recorded at, $10 expires at or null.
-- One whose key has a receipt takes the whole statement back: who sent it looks again (find_receipts.sql).
-- Differs because several processes write: SQLite's one writer replaces what has expired (insert_receipt.sql).
INSERT INTO annals_receipts (aggregate_id, idempotency_key, command_id, fingerprint, outcome, first_sequence, last_sequence,
                             rejection, recorded_at, expires_at)
SELECT aggregate_id, idempotency_key, command_id, fingerprint, outcome, first_sequence, last_sequence, rejection::json,
       recorded_at, expires_at
FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::bytea[], $5::text[], $6::bigint[], $7::bigint[], $8::text[],
            $9::timestamptz[], $10::timestamptz[])
        AS input (aggregate_id, idempotency_key, command_id, fingerprint, outcome, first_sequence, last_sequence, rejection,
                  recorded_at, expires_at)
-- One order for all who write: it keeps them from a deadlock.
ORDER BY aggregate_id, idempotency_key
