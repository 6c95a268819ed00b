//! What a handler's answer says of its request.

use http::StatusCode;

use crate::process::StepError;

/// Says what an answer means for the key, where the status alone does not.
///
/// A handler puts it into the extensions of its response.
///
/// A handler that never asks its [`IdempotentRequest`](super::IdempotentRequest) for anything cannot be told from what stands
/// before it: its 400, 401, 403, 404, 405, 422 and the like free the key, as those of a router or an extractor do.
///
/// ```
/// use annals::http::Verdict;
/// use axum::response::{IntoResponse as _, Response};
///
/// fn busy() -> Response {
///     let mut response = "the warehouse did not pick up, nothing has happened".into_response();
///     response.extensions_mut().insert(Verdict::Retryable);
///     response
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Verdict {
    /// This is the answer, for every retry. Of itself: 2xx, 3xx and 4xx, but for those below and those that say
    /// `X-Should-Retry: true`, such as another layer's 409 for a request in flight.
    Final,
    /// Nothing has happened: the key is free, and a retry is carried out anew. Of itself: 408, 425, 429.
    Retryable,
    /// It may have happened: nobody else begins before the lease has lapsed; then a retry takes over, and goes on from
    /// the steps that were recorded. Of itself: 5xx and a panic.
    Unknown,
    /// It is done, and is not to be remembered: the key is free, and whoever repeats it does it again.
    NotStored,
}

/// Statuses that routers, middleware and extractors answer with before a handler has begun.
const BEFORE_THE_HANDLER: [u16; 17] =
    [400, 401, 403, 404, 405, 406, 408, 411, 413, 414, 415, 421, 422, 425, 426, 429, 431];

impl Verdict {
    /// Tells what a status means of itself.
    ///
    /// `has_begun`: the handler has taken its request, so that the answer is its own.
    pub(super) fn of_status(status: StatusCode, has_begun: bool) -> Self {
        match status.as_u16() {
            408 | 425 | 429 => Self::Retryable,
            early if !has_begun && BEFORE_THE_HANDLER.contains(&early) => Self::Retryable,
            100..500 => Self::Final,
            _ => Self::Unknown,
        }
    }
}

impl From<&StepError> for Verdict {
    /// What an answer means that was given because of this error.
    ///
    /// A refusal is final, once whatever came before it is undone. What is retryable frees the key, unless earlier steps were
    /// recorded: then the same request may take over at once.
    fn from(error: &StepError) -> Self {
        match error {
            error if error.is_final() => Self::Final,
            error if error.is_retryable() => Self::Retryable,
            _ => Self::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::Verdict;

    #[test]
    fn statuses_speak_for_themselves() {
        for (status, before, after) in [
            (200, Verdict::Final, Verdict::Final),
            (303, Verdict::Final, Verdict::Final),
            (400, Verdict::Retryable, Verdict::Final),
            (401, Verdict::Retryable, Verdict::Final),
            (402, Verdict::Final, Verdict::Final),
            (404, Verdict::Retryable, Verdict::Final),
            (409, Verdict::Final, Verdict::Final),
            (422, Verdict::Retryable, Verdict::Final),
            (429, Verdict::Retryable, Verdict::Retryable),
            (500, Verdict::Unknown, Verdict::Unknown),
            (503, Verdict::Unknown, Verdict::Unknown),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(Verdict::of_status(status, false), before, "{status} before");
            assert_eq!(Verdict::of_status(status, true), after, "{status} after");
        }
    }
}
