-- Fails where the transaction it runs in has failed before: COMMIT would roll it back without a word.
-- Differs because SQLite tells by an error.
SELECT 1 AS is_open
