//! What tests are written with: of a domain model, of its stored events, of a service whose database fails.
//!
//! [`Scenario`] tests an aggregate without a runtime or a database. [`assert_stored_names`] keeps stored events
//! readable.
//! [`Faulty`] wraps a store and loses replies, from a seed. [`conformance`] holds a backend to what every store keeps.
//! None of them belongs in a running service.

pub mod conformance;
mod faulty;
mod json_shape;
mod mishap;
mod round_trip;
mod scenario;
mod stored_names;

pub use faulty::Faulty;
pub use scenario::{Decided, Scenario, Verdict};
pub use stored_names::assert_stored_names;
