//! Why a webhook is not believed.

use http::StatusCode;

/// Tells why a webhook was refused. Nothing of it is to be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WebhookError {
    /// A header is missing, or is there more than once.
    #[error("the header {0} is not there once")]
    Missing(&'static str),
    /// A header is not of the form it has to have.
    #[error("the header {0} cannot be read")]
    Malformed(&'static str),
    /// None of the signatures is of any of the secrets.
    #[error("no signature fits")]
    WrongSignature,
    /// It was signed too long ago: somebody may have kept it.
    #[error("it was signed too long ago")]
    TooOld,
    /// It was signed in the future: one of the clocks is wrong.
    #[error("it was signed in the future")]
    TooNew,
    /// The body is larger than is taken.
    #[error("the body is too large")]
    TooLarge,
}

impl WebhookError {
    /// The status to answer with.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::Missing(_) | Self::Malformed(_) | Self::TooOld | Self::TooNew => StatusCode::BAD_REQUEST,
            Self::WrongSignature => StatusCode::UNAUTHORIZED,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        }
    }
}
