//! Signed messages to and from other services, as [Standard Webhooks](https://www.standardwebhooks.com) has them.
//!
//! **Coming in.** [`WebhookVerifier`] checks the signature, and gives what an [`Inbox`](crate::Inbox) takes: the
//! provider sends each message as often as it takes until it is answered with 2xx, and its effects take place once.
//!
//! ```
//! # #[cfg(all(feature = "http", feature = "sqlite"))]
//! # mod example {
//! use annals::{Handled, Inbox, SqliteStore, Work as _, http::webhook::WebhookVerifier};
//! use axum::{body::Bytes, extract::State};
//! use http::{HeaderMap, StatusCode};
//!
//! async fn receive(
//!     State((verifier, inbox)): State<(WebhookVerifier, Inbox<SqliteStore>)>,
//!     headers: HeaderMap,
//!     body: Bytes,
//! ) -> StatusCode {
//!     // First the signature: of what is not believed nothing is stored.
//!     let webhook = match verifier.verify(&headers, &body) {
//!         Ok(webhook) => webhook,
//!         Err(refused) => return refused.status(),
//!     };
//!     let handled = inbox
//!         .handle(&webhook.message, |work| {
//!             Box::pin(async {
//!                 let note = sqlx::query("INSERT INTO notices (body) VALUES (?)").bind(&body[..]);
//!                 note.execute(work.connection()).await?;
//!                 Ok(())
//!             })
//!         })
//!         .await;
//!     match handled {
//!         Ok(Handled::New(()) | Handled::Duplicate { .. }) => StatusCode::NO_CONTENT,
//!         // Something else under the same id: it will not be otherwise another time.
//!         Ok(Handled::Changed { .. }) => StatusCode::UNPROCESSABLE_ENTITY,
//!         Ok(Handled::Early { .. }) | Err(_) => StatusCode::SERVICE_UNAVAILABLE,
//!     }
//! }
//! # }
//! ```
//!
//! **Going out.** [`WebhookPublisher`] is what a [`Relay`](crate::process::Relay) sends with.

mod error;
mod publisher;
mod secret;
mod verifier;

pub use error::WebhookError;
pub use publisher::{WebhookFailure, WebhookPublisher};
pub use secret::WebhookSecret;
pub use verifier::{VerifiedWebhook, WebhookVerifier};

/// The header with the id of a webhook, the same at each attempt.
pub const WEBHOOK_ID: &str = "webhook-id";

/// The header with the time at which an attempt was signed, in seconds since 1970.
pub const WEBHOOK_TIMESTAMP: &str = "webhook-timestamp";

/// The header with the signatures, with blanks in between.
pub const WEBHOOK_SIGNATURE: &str = "webhook-signature";
