-- Notes that a parked event has failed again, for whoever has the lease. $1 name, $2 partition, $3 fence, $4 aggregate id,
-- $5 sequence, $6 error, $7 attempts.
-- Differs because the checkpoint has to be locked: who takes over waits, and a late holder finds another fence.
UPDATE annals_parked_events AS parked
SET error = $6, attempts = $7
FROM (
    SELECT name
    FROM annals_checkpoints
    WHERE name = $1 AND partition = $2 AND fence = $3 AND lease_owner IS NOT NULL
    FOR UPDATE
) AS held
WHERE parked.name = held.name AND parked.aggregate_id = $4 AND parked.sequence = $5
