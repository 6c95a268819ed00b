//! The fulfilment example, from outside: the story it tells, what it refuses, and the session of its README.

pub mod place;
mod program;
mod readme;
