//! An answer, whole.

use std::fmt;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;

use super::verdict::is_replayed;
use crate::store::IdempotencyKey;

/// Holds what a service has answered, of whatever status.
#[derive(Clone)]
#[non_exhaustive]
pub struct Answer {
    /// The status. One of an error is an answer too: the service has said no.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// The service has given this answer before: `Idempotent-Replayed: true`.
    pub replayed: bool,
    /// How often the request was sent, by this call of it.
    pub attempts: u32,
    /// The key it was sent with; `None`: it was a read.
    pub key: Option<IdempotencyKey>,
}

impl Answer {
    pub(super) fn new((status, headers, body): (StatusCode, HeaderMap, Bytes), attempts: u32) -> Self {
        let replayed = is_replayed(&headers);
        Self { status, headers, body, replayed, attempts, key: None }
    }

    /// Reads the body as JSON.
    ///
    /// # Errors
    ///
    /// It is none, or another: look at [`status`](Self::status) first.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_slice(&self.body)
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer")
            .field("status", &self.status.as_u16())
            .field("replayed", &self.replayed)
            .field("attempts", &self.attempts)
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}
