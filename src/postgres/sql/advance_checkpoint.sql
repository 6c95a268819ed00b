-- Moves a checkpoint, renews its lease and parks events. $1 name, $2 partition, $3 fence, $4 position before, $5 position,
-- $6 aggregate id, $7 sequence, $8 command id, $9 recorded at, $10 lease expires at, $11 now; of what is parked one entry
-- each: $12 aggregate ids, $13 sequences, $14 positions, $15 errors, $16 attempts.
-- One row where it has moved. What went wrong before counts until the position moves.
-- Differs because one statement is one round trip, and a commit of its own: it also parks.
WITH moved AS (
    UPDATE annals_checkpoints
    SET position = $5, aggregate_id = $6, sequence = $7, command_id = $8, recorded_at = $9,
        lease_expires_at = $10, renewed_at = $11,
        updated_at = CASE WHEN position = $5 THEN updated_at ELSE $11 END,
        crashes    = CASE WHEN position = $5 THEN crashes ELSE 0 END,
        failure    = CASE WHEN position = $5 THEN failure END,
        failed_at  = CASE WHEN position = $5 THEN failed_at END
    WHERE name = $1 AND partition = $2 AND fence = $3 AND position = $4 AND lease_owner IS NOT NULL
    RETURNING name
), parked AS (
    INSERT INTO annals_parked_events (name, aggregate_id, sequence, position, error, attempts, parked_at)
    SELECT moved.name, input.aggregate_id, input.sequence, input.position, input.error, input.attempts, $11
    FROM moved
        CROSS JOIN unnest($12::uuid[], $13::bigint[], $14::bigint[], $15::text[], $16::integer[])
            AS input (aggregate_id, sequence, position, error, attempts)
    ON CONFLICT DO NOTHING
)
SELECT 1 AS moved FROM moved
