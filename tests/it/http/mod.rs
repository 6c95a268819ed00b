//! Requests under idempotency keys: what the layer is made of, and the layer on every database and behind Redis.

mod app;
mod appends;
mod bodies;
mod contract;
mod cost;
mod crashes;
#[cfg(feature = "postgres")]
mod cuts;
mod doomed;
mod faults;
mod fingerprints;
mod holder;
mod keys;
mod place;
mod problems;
mod replays;
mod resumes;
mod runs;
mod scopes;
mod settings;
mod storing;
#[cfg(all(feature = "tracing", feature = "metrics"))]
mod telemetry;
mod time;
