-- Notes that a runner begins a parked event again, and says how often runners have since that was asked for. ?1 name,
-- ?2 partition, ?3 fence, ?4 aggregate id, ?5 sequence.
UPDATE annals_parked_events
SET replays_begun = replays_begun + 1
WHERE name = ?1 AND aggregate_id = ?4 AND sequence = ?5
  AND EXISTS (SELECT 1 FROM annals_checkpoints AS held
              WHERE held.name = ?1 AND held.partition = ?2 AND held.fence = ?3 AND held.lease_owner IS NOT NULL)
RETURNING replays_begun
