//! What went wrong in a handler, for its client.

use std::{borrow::Cow, error::Error as StdError, time::Duration};

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, StatusCode};

use super::{Errors, RenderRefusal, refusal::retry_headers};
use crate::{
    command::ExecuteError,
    store::{Error, ExpectedVersion},
};

/// Tells a client what went wrong.
///
/// A problem of [RFC 9457](https://www.rfc-editor.org/rfc/rfc9457).
///
/// As an axum response it is `application/problem+json`; [`Errors::render_problem`](RenderRefusal::render_problem)
/// writes it in another shape. Its kind keeps a 409 of the domain apart from the layer's own.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Problem {
    /// The status.
    pub status: StatusCode,
    /// The problem's `type`: a URI that names its kind and never changes.
    ///
    /// What stands behind its last `#`, `/` or `:` is
    /// Stripe's `code`.
    pub kind: Cow<'static, str>,
    /// What it is, in a few words that are the same each time.
    pub title: Cow<'static, str>,
    /// What this one means, and what to do about it.
    pub detail: Option<Cow<'static, str>>,
    /// When the same request may end better; `None`: it will not.
    pub retry_after: Option<Duration>,
}

/// What passes by itself is tried again after this time.
const SOON: Duration = Duration::from_secs(1);

impl Problem {
    /// Makes a problem of a kind.
    #[must_use]
    pub fn new(status: StatusCode, kind: impl Into<Cow<'static, str>>, title: impl Into<Cow<'static, str>>) -> Self {
        Self { status, kind: kind.into(), title: title.into(), detail: None, retry_after: None }
    }

    /// Makes a problem of what the domain said no to, in its own words.
    ///
    /// A rejection is final under its key: it has no `Retry-After`.
    #[must_use]
    pub fn from_rejection(
        status: StatusCode,
        kind: impl Into<Cow<'static, str>>,
        title: impl Into<Cow<'static, str>>,
        rejection: &(impl StdError + ?Sized),
    ) -> Self {
        Self::new(status, kind, title).detail(rejection.to_string())
    }

    /// Makes a problem of a command that was not carried out.
    ///
    /// `rejected` says what a rejection is for the client; the store's errors are known.
    #[must_use]
    pub fn from_execute<R: StdError + 'static>(error: &ExecuteError<R>, rejected: impl FnOnce(&R) -> Self) -> Self {
        match error {
            ExecuteError::Rejected { rejection, .. } => rejected(rejection),
            ExecuteError::Store(error) => Self::from(error),
        }
    }

    /// Says what this one means.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<Cow<'static, str>>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Says when the same request may end better.
    #[must_use]
    pub const fn retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// Answers a conflict by 412 in the place of 409.
    ///
    /// It is a precondition of the client's that does not hold.
    ///
    /// For requests with `If-Match` or `If-None-Match`, whose version was given to the command.
    #[must_use]
    pub fn when_conditional(mut self) -> Self {
        if self.kind == CONFLICT {
            self.status = StatusCode::PRECONDITION_FAILED;
        }
        self
    }

    /// The last part of its kind.
    pub(super) fn name(&self) -> &str {
        self.kind.rsplit(['#', '/', ':']).find(|part| !part.is_empty()).unwrap_or("error")
    }

    pub(super) fn headers(&self) -> HeaderMap {
        retry_headers(self.retry_after, self.retry_after.is_some())
    }

    pub(super) fn failed_precondition(expected: Option<ExpectedVersion>) -> Self {
        let problem = Self::new(StatusCode::PRECONDITION_FAILED, CONFLICT, CONFLICT_TITLE);
        problem.detail(match expected {
            Some(expected) => Cow::Owned(format!("The resource was expected to have {expected}.")),
            None => Cow::Borrowed("The entity tag in If-Match is none of this resource's."),
        })
    }
}

const CONFLICT: &str = "urn:annals:problem:conflict";
const CONFLICT_TITLE: &str = "Resource is at another version";

/// What a store's errors mean to clients: see [`Error`]. Nothing of what lies beneath is told.
impl From<&Error> for Problem {
    fn from(error: &Error) -> Self {
        let passing = |kind: &'static str, title: &'static str, detail: &'static str| {
            Self::new(StatusCode::SERVICE_UNAVAILABLE, kind, title).detail(detail).retry_after(SOON)
        };
        match error {
            Error::Conflict { expected, actual, .. } => Self::new(StatusCode::CONFLICT, CONFLICT, CONFLICT_TITLE)
                .detail(format!("The resource was expected to have {expected}, but is at version {actual}.")),
            Error::KeyReused { .. } => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "urn:annals:problem:key-reused",
                "Idempotency key was used for another request",
            )
            .detail("Send a new operation with a new key, and a retry with the content of the first attempt."),
            Error::Contention { .. } => passing(
                "urn:annals:problem:contention",
                "Resource is busy",
                "Others were in the way for too long. Nothing was written; send it again later.",
            ),
            Error::Unavailable { .. } => passing(
                "urn:annals:problem:unavailable",
                "Service is not available",
                "Nothing was written; send it again later.",
            ),
            Error::OutcomeUnknown { .. } => passing(
                "urn:annals:problem:outcome-unknown",
                "Outcome is not known",
                "It may or may not have been done. Send it again with the same key to find out.",
            ),
            Error::Behind { .. } => passing(
                "urn:annals:problem:behind",
                "Answer is not ready yet",
                "What was written cannot be read in this way yet. Ask again later.",
            ),
            Error::Invalid { message } => {
                Self::new(StatusCode::BAD_REQUEST, "urn:annals:problem:invalid", "Request is not valid")
                    .detail(message.clone())
            }
            Error::Codec { .. }
            | Error::CheckpointDiverged { .. }
            | Error::Handler { .. }
            | Error::Schema { .. }
            | Error::Backend { .. } => {
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "urn:annals:problem:internal", "Something went wrong")
            }
        }
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        Self::from(&error)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        Errors::Ietf.render_problem(&self).map(Body::from)
    }
}
