//! The endpoints, asked as clients ask them.

mod failures;
mod payments;
mod refunds;
mod refusals;
mod retries;
mod service;
