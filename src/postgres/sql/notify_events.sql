-- Tells those who wait for events, in whatever process, that there are some: see read_channel.sql. One row: by whom.
-- Differs because SQLite has no channels: what other processes write is found by asking.
-- The transaction writes nothing that has to last: it does not wait for the disk.
SELECT set_config('synchronous_commit', 'off', true),
       pg_notify('annals_events_' || 'annals_positions'::regclass::oid, ''), pg_backend_pid() AS pid
