//! What tests are written with: of a domain model, of its stored events, of a service whose database fails.
//!
//! [`Scenario`] tests an aggregate without a runtime or a database. [`assert_stored_names`] keeps stored events readable.
//! [`Faulty`] wraps a store and loses replies, from a seed. None of them belongs in a running service.

mod faulty;
mod mishap;
mod round_trip;
mod scenario;

pub use faulty::Faulty;
pub use scenario::{Decided, Scenario, Verdict};
