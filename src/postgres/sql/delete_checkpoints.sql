-- Removes the checkpoints of a name from one partition on. $1 name, $2 first partition.
DELETE FROM annals_checkpoints WHERE name = $1 AND partition >= $2
