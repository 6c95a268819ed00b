-- Draws fences that nobody had before, and tells the last. ?1 how many. Rolled back with their transaction, they have been nobody's.
-- Differs because on PostgreSQL the claim draws from a sequence, in its own statement.
UPDATE annals_fences SET last = last + ?1 WHERE id = 1 RETURNING last
