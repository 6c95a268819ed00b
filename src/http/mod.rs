//! Requests with an idempotency key, on the server's side and on the client's.

#[cfg(feature = "http")]
mod fingerprint;
#[cfg(feature = "http")]
mod json_member;
#[cfg(feature = "http")]
mod key;
#[cfg(feature = "http")]
mod media;
#[cfg(feature = "http")]
mod refusal;
#[cfg(feature = "http")]
mod structured_field;

#[cfg(feature = "http")]
pub use fingerprint::{BodyForm, FingerprintRecipe, FingerprintRules, WholeRequest, request_fingerprint};
#[cfg(feature = "http")]
pub use key::{KeyRules, KeySource, KeySyntax, header_key, member_key, request_key};
#[cfg(feature = "http")]
pub use refusal::{Refusal, RenderRefusal};
