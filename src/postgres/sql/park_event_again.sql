-- Notes that a parked event has failed again, for whoever has the lease. $1 name, $2 partition, $3 fence, $4 aggregate id,
-- $5 sequence, $6 error, $7 attempts, $8 when it was asked for, or null.
-- What was asked for of its aggregate up to then is done with: those behind it are not told before it.
-- Differs because the checkpoint has to be locked: who takes over waits, and a late holder finds another fence.
UPDATE annals_parked_events AS parked
SET error = CASE WHEN parked.sequence = $5 THEN $6 ELSE parked.error END,
    attempts = CASE WHEN parked.sequence = $5 THEN $7 ELSE parked.attempts END,
    replay_requested_at = CASE WHEN parked.replay_requested_at > $8::timestamptz THEN parked.replay_requested_at
                               WHEN $8::timestamptz IS NULL THEN parked.replay_requested_at END
FROM (
    SELECT name
    FROM annals_checkpoints
    WHERE name = $1 AND partition = $2 AND fence = $3 AND lease_owner IS NOT NULL
    FOR UPDATE
) AS held
WHERE parked.name = held.name AND parked.aggregate_id = $4
  AND (parked.sequence = $5 OR parked.replay_requested_at <= $8::timestamptz)
RETURNING parked.sequence
