-- Forgets a timer about which there is nothing more to do. $1 queue, $2 id, $3 fence, $4 the revision it was taken at.
-- IS TRUE keeps it off the index by time.
DELETE FROM annals_timers
WHERE queue = $1 AND timer_id = $2 AND fence = $3 AND revision = $4 AND (state = 0) IS TRUE AND owner IS NOT NULL
