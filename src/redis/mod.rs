//! Finished answers in Redis, in front of the database that holds them.
