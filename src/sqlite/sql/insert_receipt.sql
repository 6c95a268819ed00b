-- Writes one receipt. ?1 aggregate id, ?2 idempotency key, ?3 command id, ?4 fingerprint, ?5 outcome, ?6 first sequence,
-- ?7 last sequence, ?8 rejection, ?9 recorded at (µs), ?10 expires at (µs).
-- REPLACE can only meet an expired receipt: within the same transaction the key was looked up before.
-- The VALUES row is repeated to write many receipts with one statement.
-- Differs because one writer has looked before it inserts: PostgreSQL does both in one statement, append_batch.sql.
INSERT OR REPLACE INTO annals_receipts
    (aggregate_id, idempotency_key, command_id, fingerprint, outcome, first_sequence,
     last_sequence, rejection, recorded_at, expires_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
