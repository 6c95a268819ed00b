-- Notes that a parked event has failed again, for whoever has the lease. ?1 name, ?2 partition, ?3 fence, ?4 aggregate id,
-- ?5 sequence, ?6 error, ?7 attempts, ?8 when it was asked for (µs), or null.
-- What was asked for of its aggregate up to then is done with: those behind it are not told before it.
UPDATE annals_parked_events
SET error = CASE WHEN sequence = ?5 THEN ?6 ELSE error END,
    attempts = CASE WHEN sequence = ?5 THEN ?7 ELSE attempts END,
    replay_requested_at = CASE WHEN replay_requested_at > ?8 THEN replay_requested_at
                               WHEN ?8 IS NULL THEN replay_requested_at END
WHERE name = ?1 AND aggregate_id = ?4 AND (sequence = ?5 OR replay_requested_at <= ?8)
  AND EXISTS (SELECT 1 FROM annals_checkpoints AS held
              WHERE held.name = ?1 AND held.partition = ?2 AND held.fence = ?3 AND held.lease_owner IS NOT NULL)
RETURNING sequence
