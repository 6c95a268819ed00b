-- Draws a fence that nobody had before. Rolled back with its transaction, it has been nobody's.
-- Differs because on PostgreSQL the claim draws from a sequence, in its own statement.
UPDATE annals_fences SET last = last + 1 WHERE id = 1 RETURNING last
