-- Notes that a runner begins a parked event again, and says how often runners have since that was asked for. $1 name,
-- $2 partition, $3 fence, $4 aggregate id, $5 sequence.
-- Differs because the checkpoint has to be locked: who takes over waits, and a late holder finds another fence.
UPDATE annals_parked_events AS parked
SET replays_begun = parked.replays_begun + 1
FROM (
    SELECT name
    FROM annals_checkpoints
    WHERE name = $1 AND partition = $2 AND fence = $3 AND lease_owner IS NOT NULL
    FOR UPDATE
) AS held
WHERE parked.name = held.name AND parked.aggregate_id = $4 AND parked.sequence = $5
RETURNING parked.replays_begun
