//! The client's side: a request is sent again until its outcome is known, and happens once.
//!
//! Its key is made and kept before anything is sent, and kept until there is an answer that counts: also across a crash.
//! Every attempt has the same key and the same bytes.
//!
//! ```
//! # #[cfg(feature = "sqlite")]
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use annals::{IdempotencyKey, SqliteStore, http::client::{ClientError, RetryingClient}};
//! use http::{HeaderMap, HeaderValue, header};
//!
//! let keys = SqliteStore::open("orders.db").await?;
//! let client = RetryingClient::new(reqwest::Client::new(), keys).named("payments");
//!
//! // What an earlier process has left behind. Secrets are not kept: here they are again.
//! let authorization = HeaderValue::from_static("Bearer sk_test");
//! let secrets = HeaderMap::from_iter([(header::AUTHORIZATION, authorization)]);
//! client.resume_all(|_call| Some(secrets.clone()), |resumed| println!("{:?}", resumed.outcome)).await?;
//!
//! let charge = client
//!     .post("https://api.example.com/v1/charges")
//!     .bearer_auth("sk_test")
//!     .form([("amount", "4200"), ("currency", "eur")])
//!     .idempotency_key(IdempotencyKey::new("order-537434-charge")?)
//!     .send()
//!     .await;
//! match charge {
//!     Ok(answer) => println!("{} after {} attempts", answer.status, answer.attempts),
//!     Err(ClientError::OutcomeUnknown { .. }) => println!("nobody knows: it is resumed later"),
//!     Err(error) => println!("it has not happened: {error}"),
//! }
//! # Ok(())
//! # }
//! ```
//!
//! **What is sent again.** After connections that failed, broke off or took too long, and after 408, 409, 425, 429 and 5xx
//! (but 501 and 505). What the service says goes before that: `Stripe-Should-Retry` or `X-Should-Retry`, and
//! `Idempotent-Replayed: true`, which means that it will not say otherwise. A 409 that asks to come again is asked until
//! the deadline. Any other answer counts, also one that says no.
//!
//! **What counts after an attempt that may have happened.** Then a gateway, or a token that has expired, may refuse the next
//! one and say nothing of that one. So only these end the call: 2xx and 3xx, 400, 402, 409, 410 and 422, and whatever is
//! replayed. Any other no, such as 401, 403 or 404, is [`OutcomeUnknown`](ClientError::OutcomeUnknown), and the key stays.
//!
//! **How often.** Full jitter, `Retry-After` as seconds or as a date, a number of attempts, a deadline, and a
//! [budget](RetryBudget) over all calls.
//!
//! **What is kept.** Method, URL, body and headers but the secret ones, from before the first attempt until there is an
//! answer that counts. What has none stays: [`pending`](RetryingClient::pending) lists it,
//! [`resume_all`](RetryingClient::resume_all) sends it again, [`forget`](RetryingClient::forget) removes it. Of several
//! processes with one store one sends a call at a time. Reads (GET, HEAD, OPTIONS, TRACE) are neither kept nor keyed.
//!
//! **What the application sees to.** One [name](RetryingClient::named) for each service and account. How long the service
//! [keeps keys](RetryingClient::keys_last): what is older is never sent again. Keys that it can derive, so that even a
//! process that has died before it could note the answer asks under the same one; or
//! [`until_confirmed`](RequestBuilder::until_confirmed). Redirects and TLS, which are reqwest's.

mod answer;
mod attempt;
mod budget;

mod error;
mod kept;
mod key_header;
mod memory_keys;
mod pauses;
mod request;
mod resume;
mod retrying;
mod secrets;
mod send;
mod telemetry;
mod verdict;

pub use answer::Answer;
pub use budget::RetryBudget;
pub use error::{ClientError, GaveUp, Last};
pub use key_header::KeyForm;
pub use memory_keys::MemoryKeys;
#[cfg(feature = "webhook")]
pub(super) use pauses::retry_after;
pub use request::RequestBuilder;
pub use resume::{Resumed, Resumption};
pub use retrying::RetryingClient;
