//! Why the layer does not hand a request on.

use std::{borrow::Cow, fmt, time::Duration};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Response, StatusCode,
    header::{LINK, RETRY_AFTER, WWW_AUTHENTICATE},
};

use super::{Errors, Problem};

/// Tells why a request was not handed on, or why its answer cannot be given.
///
/// Neither keys nor scopes nor bodies appear in what is said.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// The request needs a key and has none.
    MissingKey,
    /// The request has a key that is none, or more than one.
    MalformedKey {
        /// What is wrong with it.
        detail: Cow<'static, str>,
    },
    /// Nobody can tell whose key it is: the request was not authenticated.
    NoScope,
    /// The body is larger than the layer reads.
    BodyTooLarge {
        /// The most bytes.
        most: usize,
    },
    /// The body broke off.
    UnreadableBody,
    /// The key was used for another request.
    KeyReused,
    /// The first request under the key is still being carried out.
    InFlight {
        /// When it may be done.
        retry_after: Duration,
    },
    /// The store of answers cannot be reached; nothing is carried out without it.
    StoreUnavailable {
        /// When it may be back.
        retry_after: Duration,
    },
    /// The reply to the commit was lost: whether the request was carried out is not known.
    OutcomeUnknown {
        /// When that can be found out.
        retry_after: Duration,
    },
    /// Somebody else has taken the request over in the meantime.
    Fenced {
        /// When that one may be done.
        retry_after: Duration,
    },
    /// The request was carried out; its answer was too large to be kept.
    AnswerNotKept,
    /// The request was begun too often and never came to an end.
    GivenUp,
    /// The client has more keys than it may have.
    TooManyKeys {
        /// When some may have expired.
        retry_after: Duration,
    },
    /// A bug, or a panic of the handler.
    Failed,
}

/// Turns refusals into answers, in an application's own shape.
pub trait RenderRefusal: Send + Sync + fmt::Debug {
    /// Makes the answer: status, body and the headers of that shape.
    ///
    /// [`Refusal::headers`] that it does not set are added.
    fn render(&self, refusal: &Refusal, policy_url: Option<&str>) -> Response<Bytes>;

    /// Makes the answer to a problem of a handler; by default that of RFC 9457.
    fn render_problem(&self, problem: &Problem) -> Response<Bytes> {
        Errors::Ietf.render_problem(problem)
    }
}

/// Tells clients of Stripe's kind whether to send a request again, whatever the status says.
pub(super) const STRIPE_SHOULD_RETRY: HeaderName = HeaderName::from_static("stripe-should-retry");
/// The same for clients that were made by Stainless.
pub(super) const X_SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

impl Refusal {
    /// One of each, with values that stand for any.
    ///
    /// For whoever describes or tests all of them.
    #[must_use]
    pub fn samples() -> Vec<Self> {
        let retry_after = Duration::from_secs(1);
        vec![
            Self::MissingKey,
            Self::MalformedKey { detail: Cow::Borrowed("it is empty") },
            Self::NoScope,
            Self::BodyTooLarge { most: 1 << 20 },
            Self::UnreadableBody,
            Self::KeyReused,
            Self::InFlight { retry_after },
            Self::StoreUnavailable { retry_after },
            Self::OutcomeUnknown { retry_after },
            Self::Fenced { retry_after },
            Self::AnswerNotKept,
            Self::GivenUp,
            Self::TooManyKeys { retry_after },
            Self::Failed,
        ]
    }

    /// The name of its kind: the end of the problem's `type`. Never changes.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::MissingKey => "missing-key",
            Self::MalformedKey { .. } => "malformed-key",
            Self::NoScope => "no-scope",
            Self::BodyTooLarge { .. } => "body-too-large",
            Self::UnreadableBody => "unreadable-body",
            Self::KeyReused => "key-reused",
            Self::InFlight { .. } => "in-flight",
            Self::StoreUnavailable { .. } => "store-unavailable",
            Self::OutcomeUnknown { .. } => "outcome-unknown",
            Self::Fenced { .. } => "taken-over",
            Self::AnswerNotKept => "answer-not-kept",
            Self::GivenUp => "given-up",
            Self::TooManyKeys { .. } => "too-many-keys",
            Self::Failed => "failed",
        }
    }

    /// The status, as the IETF's draft and RFC 9110 have it.
    ///
    /// Without a scope it is 401 and not 403: whoever is known has a scope, so the request was not authenticated.
    /// An answer that was not kept is gone, 410: no client sends that again by itself.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::MissingKey | Self::MalformedKey { .. } | Self::UnreadableBody => StatusCode::BAD_REQUEST,
            Self::NoScope => StatusCode::UNAUTHORIZED,
            Self::BodyTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::KeyReused => StatusCode::UNPROCESSABLE_ENTITY,
            Self::InFlight { .. } | Self::Fenced { .. } => StatusCode::CONFLICT,
            Self::StoreUnavailable { .. } | Self::OutcomeUnknown { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Self::AnswerNotKept => StatusCode::GONE,
            Self::TooManyKeys { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::GivenUp | Self::Failed => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// What it is, in a few words that are the same each time.
    #[must_use]
    pub const fn title(&self) -> &'static str {
        match self {
            Self::MissingKey => "Idempotency key is missing",
            Self::MalformedKey { .. } => "Idempotency key is malformed",
            Self::NoScope => "Request is not authenticated",
            Self::BodyTooLarge { .. } => "Body is too large",
            Self::UnreadableBody => "Body could not be read",
            Self::KeyReused => "Idempotency key was used for another request",
            Self::InFlight { .. } => "Request with this idempotency key is in progress",
            Self::StoreUnavailable { .. } => "Idempotency keys cannot be looked up",
            Self::OutcomeUnknown { .. } => "Outcome is not known",
            Self::Fenced { .. } => "Request was taken over",
            Self::AnswerNotKept => "Answer was not kept",
            Self::GivenUp => "Request was given up",
            Self::TooManyKeys { .. } => "Too many idempotency keys",
            Self::Failed => "Request failed",
        }
    }

    /// What this one means to its client, and what to do about it.
    #[must_use]
    pub fn detail(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::MissingKey => {
                "This operation needs an idempotency key: a new one for each operation, the same for its retries."
            }
            Self::MalformedKey { detail } => return format!("The idempotency key is not one: {detail}.").into(),
            Self::NoScope => {
                "A key belongs to whoever has sent it, and nobody has been recognised. Authenticate first."
            }
            Self::BodyTooLarge { most } => return format!("The body has more than {most} bytes.").into(),
            Self::UnreadableBody => "The body broke off before its end. Nothing has been done.",
            Self::KeyReused => {
                "This key belongs to a request with other content. Send a new operation with a new key, and a retry \
                 with the content of the first attempt."
            }
            Self::InFlight { .. } => {
                "The first request with this key has not been answered yet. Send it again later, with the same key."
            }
            Self::StoreUnavailable { .. } => {
                "Nothing has been done by this attempt. Send it again later, with the same key."
            }
            Self::OutcomeUnknown { .. } => {
                "Whether this attempt has done anything is not known. Send it again with the same key: that finds out."
            }
            Self::Fenced { .. } => {
                "Another attempt carries this request out. Send it again later, with the same key, for its answer."
            }
            Self::AnswerNotKept => {
                "The request has been carried out, once, but its answer cannot be given again. Look the result up; do \
                 not send it again with a new key."
            }
            Self::GivenUp => {
                "The request was begun several times and never came to an end. It will not be begun again; what has \
                 become of it must be looked up."
            }
            Self::TooManyKeys { .. } => "There are as many keys as one client may have. Nothing has been done.",
            Self::Failed => {
                "Something went wrong that should not. Send it again with the same key, never with a new one."
            }
        })
    }

    /// When to send the request again, where that may help.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::InFlight { retry_after }
            | Self::StoreUnavailable { retry_after }
            | Self::OutcomeUnknown { retry_after }
            | Self::Fenced { retry_after }
            | Self::TooManyKeys { retry_after } => Some(*retry_after),
            Self::MissingKey
            | Self::MalformedKey { .. }
            | Self::NoScope
            | Self::BodyTooLarge { .. }
            | Self::UnreadableBody
            | Self::KeyReused
            | Self::AnswerNotKept
            | Self::GivenUp
            | Self::Failed => None,
        }
    }

    /// Whether the same request, under the same key, may end better.
    ///
    /// After a failure it may, and it is safe: whether there is an effect already, its key knows.
    #[must_use]
    pub const fn should_retry(&self) -> bool {
        self.retry_after().is_some() || matches!(self, Self::UnreadableBody | Self::Failed)
    }

    /// The headers that every answer to it has, in whatever shape.
    ///
    /// `Retry-After` in seconds, from 1 on; `Stripe-Should-Retry` and `X-Should-Retry`; a `Link` to the policy; and with
    /// 401 the challenge that RFC 9110 asks for. An application with another scheme refuses outside the layer.
    #[must_use]
    pub fn headers(&self, policy_url: Option<&str>) -> HeaderMap {
        let mut headers = retry_headers(self.retry_after(), self.should_retry());
        if let Some(link) =
            policy_url.and_then(|url| HeaderValue::try_from(format!("<{url}>; rel=\"describedby\"")).ok())
        {
            headers.insert(LINK, link);
        }
        if self.status() == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"api\""));
        }
        headers
    }
}

/// Says in all the ways that clients know whether to send a request again, and when.
pub(super) fn retry_headers(retry_after: Option<Duration>, should_retry: bool) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if let Some(after) = retry_after {
        headers.insert(RETRY_AFTER, HeaderValue::from(whole_seconds(after)));
    }
    let answer = HeaderValue::from_static(if should_retry { "true" } else { "false" });
    headers.insert(STRIPE_SHOULD_RETRY, answer.clone());
    headers.insert(X_SHOULD_RETRY, answer);
    headers
}

/// Rounded up: who comes back a moment too early comes in vain. At least one, for clients that take 0 for "none".
pub(super) fn whole_seconds(time: Duration) -> u64 {
    time.as_secs().saturating_add(u64::from(time.subsec_nanos() > 0)).max(1)
}
