-- Reads the name of the channel that commits are told on. The number in it tells the schemas of one database apart.
-- Differs because SQLite has no channels.
SELECT 'annals_events_' || 'annals_positions'::regclass::oid AS channel
