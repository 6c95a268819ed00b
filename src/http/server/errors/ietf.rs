//! Problem details of [RFC 9457](https://www.rfc-editor.org/rfc/rfc9457).

use bytes::Bytes;
use http::Response;
use serde::Serialize;

use super::json;
use crate::http::{Problem, Refusal};

pub(super) const CONTENT_TYPE: &str = "application/problem+json";

#[derive(Serialize)]
struct Body<'b> {
    r#type: &'b str,
    title: &'b str,
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'b str>,
}

/// The page that publishes the policy has a place for each kind; without a page there is a name all the same, since
/// `about:blank` would say nothing beyond the status.
pub(super) fn type_of(refusal: &Refusal, policy_url: Option<&str>) -> String {
    let name = refusal.name();
    policy_url.map_or_else(|| format!("urn:annals:idempotency:{name}"), |url| format!("{url}#{name}"))
}

pub(super) fn refused(refusal: &Refusal, policy_url: Option<&str>) -> Response<Bytes> {
    let status = refusal.status();
    let body = Body {
        r#type: &type_of(refusal, policy_url),
        title: refusal.title(),
        status: status.as_u16(),
        detail: Some(&refusal.detail()),
    };
    json(status, CONTENT_TYPE, &body)
}

pub(super) fn problem(problem: &Problem) -> Response<Bytes> {
    let body = Body {
        r#type: &problem.kind,
        title: &problem.title,
        status: problem.status.as_u16(),
        detail: problem.detail.as_deref(),
    };
    json(problem.status, CONTENT_TYPE, &body)
}
