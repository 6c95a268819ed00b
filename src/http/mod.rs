//! Requests with an idempotency key, on the server's side and on the client's.

#[cfg(feature = "client")]
pub mod client;
#[cfg(feature = "http")]
mod server;
#[cfg(feature = "webhook")]
pub mod webhook;

#[cfg(feature = "http")]
pub use server::*;
