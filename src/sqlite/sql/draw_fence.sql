-- Draws a fence that nobody had before. Rolled back with its transaction, it has been nobody's.
UPDATE annals_fences SET last = last + 1 WHERE id = 1 RETURNING last
