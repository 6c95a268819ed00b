//! Requests with an idempotency key, on the server's side and on the client's.

#[cfg(feature = "http")]
mod errors;
#[cfg(feature = "http")]
mod fingerprint;
#[cfg(feature = "http")]
mod json_member;
#[cfg(feature = "http")]
mod key;
#[cfg(feature = "http")]
mod media;
#[cfg(feature = "http")]
mod openapi;
#[cfg(feature = "http")]
mod policy;
#[cfg(feature = "http")]
mod problem;
#[cfg(feature = "http")]
mod refusal;
#[cfg(feature = "http")]
mod settings;
#[cfg(feature = "http")]
mod structured_field;
#[cfg(feature = "http")]
mod version;

#[cfg(feature = "http")]
pub use errors::Errors;
#[cfg(feature = "http")]
pub use fingerprint::{BodyForm, FingerprintRecipe, FingerprintRules, WholeRequest, request_fingerprint};
#[cfg(feature = "http")]
pub use key::{KeyRules, KeySource, KeySyntax, header_key, member_key, request_key};
#[cfg(feature = "http")]
pub use openapi::{merge_openapi, openapi_fragment};
#[cfg(feature = "http")]
pub use policy::PolicyDocument;
#[cfg(feature = "http")]
pub use problem::Problem;
#[cfg(feature = "http")]
pub use refusal::{Refusal, RenderRefusal};
#[cfg(feature = "http")]
pub use settings::{FailurePolicy, InFlight, Settings};
#[cfg(feature = "http")]
pub use version::{expected_version, version_tag};
