//! The integration tests, in one binary.
#![allow(missing_docs, unreachable_pub, reason = "tests are not an interface")]

mod cache;
mod queue;
mod scenario;
mod smoke;
mod snapshots;
mod stored_names;
mod work;
