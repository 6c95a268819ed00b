-- Reads how the database writes text.
PRAGMA encoding
