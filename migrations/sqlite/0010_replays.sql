-- Parked events that somebody has asked to be told again, by whoever runs their consumer.

-- When it was last asked for; null: it was not, or what was asked for is done, whatever came of it.
ALTER TABLE annals_parked_events ADD COLUMN replay_requested_at INTEGER;
-- How often runners have begun it since, after a crash: one that kills them is not told again for ever.
ALTER TABLE annals_parked_events ADD COLUMN replays_begun INTEGER NOT NULL DEFAULT 0 CHECK (replays_begun >= 0);

CREATE INDEX annals_parked_events_requested ON annals_parked_events (name, position) WHERE replay_requested_at IS NOT NULL;
