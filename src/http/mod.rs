//! Requests with an idempotency key, on the server's side and on the client's.
