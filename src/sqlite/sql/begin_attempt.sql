-- Notes that a runner begins an event, and says how often runners have. ?1 name, ?2 partition, ?3 fence, ?4 the event's position.
UPDATE annals_checkpoints
SET begun = ?4, beginnings = CASE WHEN begun = ?4 THEN beginnings + 1 ELSE 1 END
WHERE name = ?1 AND partition = ?2 AND fence = ?3 AND lease_owner IS NOT NULL
RETURNING beginnings
