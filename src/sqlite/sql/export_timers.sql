-- Reads timers, each as JSON, without whoever fires them. ?1 after queue, ?2 after id, ?3 limit.
SELECT json_object('queue', queue, 'timer_id', lower(hex(timer_id)), 'state', state, 'due_at', due_at, 'next_at', next_at,
                   'payload', payload, 'revision', revision, 'attempts', attempts, 'failure', failure,
                   'failed_at', failed_at, 'scheduled_at', scheduled_at, 'expires_at', expires_at) AS row
FROM annals_timers
WHERE (queue, timer_id) > (?1, unhex(replace(?2, '-', '')))
ORDER BY queue, timer_id
LIMIT +?3
