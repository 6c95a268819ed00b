-- Notes that a parked event has failed again, for whoever has the lease. ?1 name, ?2 partition, ?3 fence, ?4 aggregate id,
-- ?5 sequence, ?6 error, ?7 attempts.
UPDATE annals_parked_events
SET error = ?6, attempts = ?7
WHERE name = ?1 AND aggregate_id = ?4 AND sequence = ?5
  AND EXISTS (SELECT 1 FROM annals_checkpoints AS held
              WHERE held.name = ?1 AND held.partition = ?2 AND held.fence = ?3 AND held.lease_owner IS NOT NULL)
