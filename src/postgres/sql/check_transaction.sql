-- Tells whether the transaction it runs in is the one that was begun and marked for it (BEGIN in work.rs): after
-- a COMMIT or ROLLBACK of the application's own the mark is gone. Fails where that transaction has failed: COMMIT would roll it back without a word.
-- Differs because SQLite tells by an error.
SELECT coalesce(current_setting('annals.work', true), '') = 'open' AS is_open
