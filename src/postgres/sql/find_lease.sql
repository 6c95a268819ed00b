-- Tells by a row that a lease is still held. $1 name, $2 partition, $3 fence.
SELECT 1 FROM annals_checkpoints WHERE name = $1 AND partition = $2 AND fence = $3 AND lease_owner IS NOT NULL
