-- Tells those who wait for events, in whatever process, that there are some: see read_channel.sql. One row: by whom.
-- Differs because SQLite has no channels: what other processes write is found by asking.
SELECT pg_notify('annals_events_' || 'annals_positions'::regclass::oid, ''), pg_backend_pid() AS pid
