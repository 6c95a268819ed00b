-- Reads timers, each as JSON, without whoever fires them. $1 after queue, $2 after id, $3 limit.
SELECT json_build_object('queue', queue, 'timer_id', timer_id, 'state', state,
                         'due_at', (extract(epoch FROM due_at) * 1000000)::bigint,
                         'next_at', (extract(epoch FROM next_at) * 1000000)::bigint,
                         'payload', payload::text, 'revision', revision, 'attempts', attempts, 'failure', failure,
                         'failed_at', (extract(epoch FROM failed_at) * 1000000)::bigint,
                         'scheduled_at', (extract(epoch FROM scheduled_at) * 1000000)::bigint,
                         'expires_at', (extract(epoch FROM expires_at) * 1000000)::bigint)::text AS row
FROM annals_timers
WHERE (queue, timer_id) > ($1::text COLLATE "C", $2::text::uuid)
ORDER BY queue, timer_id
LIMIT $3::bigint
