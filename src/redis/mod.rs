//! Finished answers in Redis, in front of the database that holds them.
//!
//! Redis changes nothing but speed: away, slow, empty or out of date, the database answers.

mod breaker;
mod entry;
mod flights;
mod link;
mod notes;
mod options;
mod responses;
mod telemetry;
mod writer;

pub use options::RedisOptions;
pub use responses::RedisResponses;
