//! The shapes in which refusals and problems are answered.

mod ietf;
mod stripe;

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header::CONTENT_TYPE};
use serde::Serialize;

use super::{Problem, Refusal, RenderRefusal};

/// Chooses the shape of answers that are errors.
///
/// In every shape they have `Retry-After` where a retry may help, and say by `Stripe-Should-Retry` and `X-Should-Retry`
/// whether it may: clients of several makers read one of them, and one header beats the status they would go by.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub enum Errors {
    /// `application/problem+json` of RFC 9457, with the statuses of the IETF's draft. The default.
    ///
    /// Some clients take JSON without a member `error` for success, whatever the status: for those choose
    /// [`Stripe`](Self::Stripe).
    #[default]
    Ietf,
    /// `{"error": {"type", "code", "message", "doc_url"}}`, as Stripe's clients read it; a reused key is 400.
    Stripe,
    /// The application's own.
    Custom(Arc<dyn RenderRefusal>),
}

impl Errors {
    /// The word for it in the policy.
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Ietf => "ietf",
            Self::Stripe => "stripe",
            Self::Custom(_) => "custom",
        }
    }

    /// What names the kind of a refusal in its body: the problem's `type`, or Stripe's `type` and `code`.
    pub(super) fn kind_of(&self, refusal: &Refusal, policy_url: Option<&str>) -> Kind {
        match self {
            Self::Ietf => Kind { r#type: Some(ietf::type_of(refusal, policy_url)), code: None },
            Self::Stripe => {
                let (kind, code) = stripe::type_and_code(refusal);
                Kind { r#type: Some(kind.to_owned()), code: Some(code) }
            }
            Self::Custom(_) => Kind::default(),
        }
    }

    /// The type of the bodies, where it is known.
    pub(super) const fn content_type(&self) -> Option<&'static str> {
        match self {
            Self::Ietf => Some(ietf::CONTENT_TYPE),
            Self::Stripe => Some(stripe::CONTENT_TYPE),
            Self::Custom(_) => None,
        }
    }
}

/// What names a kind of refusal in bodies.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub(super) struct Kind {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) r#type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) code: Option<&'static str>,
}

impl RenderRefusal for Errors {
    fn render(&self, refusal: &Refusal, policy_url: Option<&str>) -> Response<Bytes> {
        let mut response = match self {
            Self::Ietf => ietf::refused(refusal, policy_url),
            Self::Stripe => stripe::refused(refusal, policy_url),
            Self::Custom(custom) => custom.render(refusal, policy_url),
        };
        for (name, value) in &refusal.headers(policy_url) {
            if !response.headers().contains_key(name) {
                response.headers_mut().insert(name, value.clone());
            }
        }
        response
    }

    fn render_problem(&self, problem: &Problem) -> Response<Bytes> {
        let mut response = match self {
            Self::Ietf => ietf::problem(problem),
            Self::Stripe => stripe::problem(problem),
            Self::Custom(custom) => custom.render_problem(problem),
        };
        for (name, value) in &problem.headers() {
            if !response.headers().contains_key(name) {
                response.headers_mut().insert(name, value.clone());
            }
        }
        response
    }
}

/// An answer with a JSON body. What is written here are texts and numbers, so it can be written.
fn json(status: StatusCode, content_type: &'static str, body: &impl Serialize) -> Response<Bytes> {
    let body = serde_json::to_vec(body).unwrap_or_default();
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
