//! Answers, on their way into the store and out of it.

use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Response, StatusCode,
    header::{
        ACCESS_CONTROL_EXPOSE_HEADERS, AGE, AUTHORIZATION, CONNECTION, CONTENT_LENGTH, DATE, ORIGIN,
        PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, RETRY_AFTER, SERVER, SET_COOKIE, TE, TRAILER, TRANSFER_ENCODING,
        UPGRADE, WWW_AUTHENTICATE,
    },
};
use http_body::Body as _;
use http_body_util::BodyExt as _;

use super::refusal::{STRIPE_SHOULD_RETRY, X_SHOULD_RETRY};
use crate::store::{StoredBody, StoredResponse};

/// Marks an answer that was given before.
pub(super) const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// Names the request that an answer was first given to.
pub(super) const ORIGINAL_REQUEST: HeaderName = HeaderName::from_static("original-request");

/// The headers of the layer that scripts in a browser want to read.
///
/// For `Access-Control-Expose-Headers`. On replays the layer lists the first two itself, unless a layer for CORS around it
/// puts a list of its own in that place: then name them there.
pub const EXPOSED_HEADERS: [HeaderName; 3] = [REPLAYED, ORIGINAL_REQUEST, RETRY_AFTER];

/// Headers by which a request is traced: each attempt has its own.
const REQUEST_IDS: [HeaderName; 4] = [
    HeaderName::from_static("x-request-id"),
    HeaderName::from_static("request-id"),
    HeaderName::from_static("traceparent"),
    HeaderName::from_static("tracestate"),
];

/// Headers of one connection, one moment or one client.
const NEVER_STORED: [HeaderName; 16] = [
    AGE,
    CONNECTION,
    HeaderName::from_static("clear-site-data"),
    HeaderName::from_static("keep-alive"),
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
    DATE,
    SERVER,
    SET_COOKIE,
    WWW_AUTHENTICATE,
    AUTHORIZATION,
    CONTENT_LENGTH,
];

/// What is stored of a body: all of it within the bound, else nothing.
#[derive(Debug)]
pub(super) enum Kept {
    Whole(Bytes),
    /// The body goes to the client as it comes.
    Not(Body),
}

/// Reads a body that says how long it is, if it is within the bound. Others have no end in sight, or are too large.
pub(super) async fn read(body: Body, most: usize) -> Result<Kept, axum::Error> {
    match body.size_hint().exact() {
        Some(length) if length <= most as u64 => Ok(Kept::Whole(body.collect().await?.to_bytes())),
        _ => Ok(Kept::Not(body)),
    }
}

/// An answer as it is stored: without what belonged to its connection, its moment or its client.
pub(super) fn to_stored(
    status: StatusCode,
    headers: &HeaderMap,
    body: StoredBody,
    request_id: Option<&HeaderValue>,
) -> StoredResponse {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    // How much a client may still ask is of the moment, too.
    let is_of_the_moment = |name: &str| name.starts_with("ratelimit") || name.starts_with("x-ratelimit");
    let is_kept = |name: &HeaderName| {
        let name_text = name.as_str();
        !NEVER_STORED.contains(name)
            && !REQUEST_IDS.contains(name)
            && !named.contains(name)
            && !is_of_the_moment(name_text)
            && !name_text.starts_with("proxy-")
            && !name_text.contains("csrf")
            && !name_text.contains("xsrf")
            && *name != ORIGINAL_REQUEST
            && *name != REPLAYED
    };
    let mut kept: Vec<(String, Arc<[u8]>)> = headers
        .iter()
        .filter(|(name, _)| is_kept(name))
        .map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().into()))
        .collect();
    if let Some(id) = request_id_of(headers).or(request_id) {
        kept.push((ORIGINAL_REQUEST.as_str().to_owned(), id.as_bytes().into()));
    }
    let is_none = |reference: &str| {
        reference.is_empty() || reference.len() > StoredResponse::MAX_REFERENCE_BYTES || reference.contains('\0')
    };
    let is_too_long = matches!(&body, StoredBody::Reference(reference) if is_none(reference));
    let header_bytes: usize = kept.iter().map(|(name, value)| name.len() + value.len()).sum();
    if is_too_long || header_bytes > StoredResponse::MAX_HEADER_BYTES {
        // It is done all the same: what cannot be stored is not made again.
        return StoredResponse { status: status.as_u16(), headers: Vec::new(), body: StoredBody::Tombstone };
    }
    StoredResponse { status: status.as_u16(), headers: kept, body }
}

/// The id of a request, or of the request that was answered.
pub(super) fn request_id_of(headers: &HeaderMap) -> Option<&HeaderValue> {
    REQUEST_IDS[..2].iter().find_map(|name| headers.get(name))
}

/// A stored answer as it is given again. `None`: it cannot be, its headers are none.
pub(super) fn from_stored(stored: &StoredResponse, body: Body) -> Option<Response<Body>> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(stored.status).ok()?;
    for (name, value) in &stored.headers {
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        response.headers_mut().append(name, HeaderValue::from_bytes(value).ok()?);
    }
    Some(response)
}

/// Marks an answer as given before, also for scripts in a browser.
pub(super) fn mark_replayed(response: &mut Response<Body>, request: &HeaderMap) {
    let is_failure = response.status().is_server_error();
    let headers = response.headers_mut();
    headers.insert(REPLAYED, HeaderValue::from_static("true"));
    if is_failure {
        // It is stored: whoever asks again gets it again.
        headers.insert(STRIPE_SHOULD_RETRY, HeaderValue::from_static("false"));
        headers.insert(X_SHOULD_RETRY, HeaderValue::from_static("false"));
    }
    if request.contains_key(ORIGIN) {
        let exposed = HeaderValue::from_static("idempotent-replayed, original-request");
        headers.append(ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
    }
}

/// Whether an answer says itself that the same request may end better.
pub(super) fn is_to_be_repeated(response: &Response<Body>) -> bool {
    let says_so = |name| response.headers().get(name).is_some_and(|value| value == "true");
    response.status().is_client_error() && (says_so(STRIPE_SHOULD_RETRY) || says_so(X_SHOULD_RETRY))
}

/// A body that is all there.
pub(super) fn whole(body: &Arc<[u8]>) -> Body {
    Body::from(Bytes::from_owner(Arc::clone(body)))
}
