-- Reads snapshots in the order of aggregates, for the check of the whole log.
-- $1 after aggregate id, $2 after sequence, $3 limit.
-- Differs because there is nothing before the first uuid: the sequence tells whether that one was seen.
SELECT aggregate_id, snapshot_version, sequence, event_checksum, state, checksum
FROM annals_snapshots
WHERE (aggregate_id, sequence) > ($1::uuid, $2::bigint)
ORDER BY aggregate_id
LIMIT $3::bigint
