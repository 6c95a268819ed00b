-- Makes openers wait for one another until the transaction ends. $1 a number that stands for annals.
-- Not sqlx's own lock: that one belongs to the session, and behind a pooler a session is nobody's.
SELECT pg_advisory_xact_lock($1, coalesce(to_regnamespace(quote_ident(current_schema()))::oid::int, 0))
