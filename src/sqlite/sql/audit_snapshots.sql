-- Reads snapshots in the order of aggregates, for the check of the whole log. ?1 after aggregate id, ?2 limit.
SELECT aggregate_id, snapshot_version, sequence, event_checksum, CAST(state AS BLOB) AS state, checksum
FROM annals_snapshots
WHERE aggregate_id > ?1
ORDER BY aggregate_id
LIMIT +?2
