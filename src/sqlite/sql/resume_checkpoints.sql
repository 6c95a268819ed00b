-- Lets all partitions of a name run again. ?1 name.
UPDATE annals_checkpoints SET paused_at = NULL WHERE name = ?1
