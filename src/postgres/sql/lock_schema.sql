-- Makes openers wait for one another until the transaction ends. $1 a number that stands for annals.
-- Not sqlx's own lock: that one belongs to the session, and behind a pooler a session is nobody's.
-- A migration may take longer than an append waits for a lock: a minute, in this transaction alone.
-- Differs because SQLite has BEGIN EXCLUSIVE.
SELECT set_config('lock_timeout', '60s', true),
       pg_advisory_xact_lock($1, coalesce(to_regnamespace(quote_ident(current_schema()))::oid::int, 0))
