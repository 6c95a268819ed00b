-- Reads parked events, where their events stand, and whether they have checkpoints, for the check of the whole log.
-- ?1 after name, ?2 after aggregate id, ?3 after sequence, ?4 limit.
SELECT parked.name, parked.aggregate_id, parked.sequence, parked.position, event.position AS found_position,
       EXISTS (SELECT 1 FROM annals_checkpoints AS checkpoint WHERE checkpoint.name = parked.name) AS has_checkpoint
FROM annals_parked_events AS parked
LEFT JOIN annals_events AS event ON event.aggregate_id = parked.aggregate_id AND event.sequence = parked.sequence
WHERE (parked.name, parked.aggregate_id, parked.sequence) > (?1, ?2, ?3)
ORDER BY parked.name, parked.aggregate_id, parked.sequence
LIMIT +?4
