-- Notes which build of a projection its tables are. $1 name, $2 partition, $3 fence, $4 build, $5 version.
UPDATE annals_checkpoints
SET build = $4, version = $5
WHERE name = $1 AND partition = $2 AND fence = $3 AND lease_owner IS NOT NULL
