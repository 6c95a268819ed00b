-- Withdraws a message that this transaction has taken in. $1 consumer, $2 message id.
-- Differs because SQLite has one writer: nobody is overtaken.
DELETE FROM annals_inbox WHERE consumer = $1 AND message_id = $2
