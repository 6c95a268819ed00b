-- Reads checkpoints and the events at their positions, for the check of the whole log.
-- ?1 after name, ?2 after partition, ?3 limit.
SELECT checkpoint.name, checkpoint.partition, checkpoint.position,
       checkpoint.aggregate_id, checkpoint.sequence, checkpoint.command_id,
       event.aggregate_id AS found_aggregate_id, event.sequence AS found_sequence, event.command_id AS found_command_id
FROM annals_checkpoints AS checkpoint
LEFT JOIN annals_events AS event ON event.position = checkpoint.position
WHERE (checkpoint.name, checkpoint.partition) > (?1, ?2)
ORDER BY checkpoint.name, checkpoint.partition
LIMIT +?3
