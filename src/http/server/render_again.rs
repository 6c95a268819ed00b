//! Answers that are made anew when they are asked for again.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use axum::body::Body;
use http::Response;

use crate::store::ScopedKey;

/// Stands for an answer that is made anew for each retry, not stored.
///
/// A handler puts it into the extensions of its response: for answers with secrets, and for those who want to show an
/// object as it is now. Status and headers are those that [`RenderAgain`] gives. 1 to 2,000 bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference(pub Arc<str>);

/// Makes answers anew from what a handler has referred to.
#[async_trait]
pub trait RenderAgain: fmt::Debug + Send + Sync {
    /// Makes the answer to a retry.
    async fn render(&self, key: &ScopedKey, reference: &str) -> Response<Body>;
}
