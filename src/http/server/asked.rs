//! A request under a key, before anybody carries it out.

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, request::Parts};

use super::{
    FingerprintRecipe, WholeRequest, answer,
    layer::{Shared, original_uri},
    request::IdempotentRequest,
    request_fingerprint,
};
use crate::store::{Fingerprint, IdempotencyKey, ResponseClaim, Scope, ScopedKey, StoredRequest};

/// A request with its key, read to its end.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) key: ScopedKey,
    pub(super) fingerprint: Fingerprint,
    pub(super) recipe: u16,
    parts: Parts,
    body: Bytes,
}

impl Asked {
    pub(super) fn new(shared: &Shared, (scope, key): (Scope, IdempotencyKey), parts: Parts, body: Bytes) -> Self {
        let scope = match shared.settings.per_endpoint {
            true => scope.at_endpoint(parts.method.as_str(), original_uri(&parts).path()),
            false => scope,
        };
        let recipe = FingerprintRecipe::CURRENT;
        let fingerprint = fingerprint(shared, (&parts, &body), recipe);
        Self { key: ScopedKey::new(scope, key), fingerprint, recipe: recipe.number(), parts, body }
    }

    /// Takes up a request that its client has abandoned, under the fingerprint it was claimed with.
    pub(super) fn again(key: ScopedKey, (fingerprint, recipe): (Fingerprint, u16), request: Request<Bytes>) -> Self {
        let (parts, body) = request.into_parts();
        Self { key, fingerprint, recipe, parts, body }
    }

    /// Tells whether what stands under the key is this request. Compared by the recipe it was stored with.
    pub(super) fn is(&self, shared: &Shared, fingerprint: Fingerprint, recipe: u16) -> bool {
        if recipe == self.recipe {
            return fingerprint == self.fingerprint;
        }
        self.by(shared, recipe) == Some(fingerprint)
    }

    /// Goes over to the recipe that a request was stored with, to take over from whoever stored it.
    pub(super) fn go_over_to(&mut self, shared: &Shared, recipe: u16) {
        if let Some(fingerprint) = self.by(shared, recipe) {
            (self.fingerprint, self.recipe) = (fingerprint, recipe);
        }
    }

    /// `None`: a later release has stored it by a recipe that this one does not know.
    fn by(&self, shared: &Shared, recipe: u16) -> Option<Fingerprint> {
        let recipe = FingerprintRecipe::from_number(recipe).ok()?;
        Some(fingerprint(shared, (&self.parts, &self.body), recipe))
    }

    /// The right to carry it out is asked for with this.
    pub(super) fn claim(&self, shared: &Shared) -> ResponseClaim {
        let settings = &shared.settings;
        ResponseClaim {
            key: self.key.clone(),
            fingerprint: self.fingerprint,
            recipe: self.recipe,
            lease: settings.lease,
            keep_for: settings.keep_for,
            attempts: settings.attempts,
            scope_keys: settings.keys_per_scope,
            request: shared.keeps_requests.then(|| self.stored(shared)),
        }
    }

    /// What whoever finishes it needs of it: no more headers than that.
    fn stored(&self, shared: &Shared) -> StoredRequest {
        let is_kept = |name: &str| {
            matches!(name, "content-type" | "accept" | "x-request-id")
                || shared.settings.fingerprint_headers.iter().any(|kept| kept.eq_ignore_ascii_case(name))
        };
        let headers = self.parts.headers.iter().filter(|(name, _)| is_kept(name.as_str()));
        StoredRequest {
            method: self.parts.method.as_str().to_owned(),
            uri: original_uri(&self.parts).path_and_query().map_or("/", |uri| uri.as_str()).to_owned(),
            headers: headers.map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().into())).collect(),
            body: self.body.as_ref().into(),
        }
    }

    /// The headers it came with.
    pub(super) const fn headers(&self) -> &HeaderMap {
        &self.parts.headers
    }

    /// By which id its client, or what stands in front, traces it.
    pub(super) fn request_id(&self) -> Option<HeaderValue> {
        answer::request_id_of(&self.parts.headers).cloned()
    }

    /// The request for the handler.
    pub(super) fn for_handler(&self, request: IdempotentRequest) -> Request<Body> {
        let mut parts = self.parts.clone();
        parts.extensions.insert(request);
        Request::from_parts(parts, Body::from(self.body.clone()))
    }
}

fn fingerprint(shared: &Shared, (parts, body): (&Parts, &Bytes), recipe: FingerprintRecipe) -> Fingerprint {
    let (method, uri, headers) = (&parts.method, original_uri(parts), &parts.headers);
    request_fingerprint(recipe, WholeRequest { method, uri, headers, body }, &shared.rules)
}
