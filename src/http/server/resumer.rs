//! Requests that are finished without their clients.

use std::{convert::Infallible, fmt, sync::Arc};

use async_trait::async_trait;
use axum::body::Body;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response, request::Parts};
use tokio::sync::oneshot;
use tower::{Service, ServiceExt as _};

use super::{
    IdempotencyLayer, answer,
    asked::Asked,
    flow::Flow,
    layer::{Shared, infallible},
};
use crate::{
    process::{Resume, Resumed},
    store::{AbandonedRequest, ClaimedResponse, Error, Scope, ScopedKey, StoredRequest},
};

/// Puts back into a request what the layers outside had found out about its client.
type Restore = dyn Fn(&Scope, &mut Parts) + Send + Sync;

/// Carries abandoned requests out, as if their clients had come back. For a
/// [`Completer`](crate::process::Completer).
///
/// Made by [`IdempotencyLayer::resumer`].
pub struct Resumer<S> {
    shared: Arc<Shared>,
    inner: S,
    restore: Box<Restore>,
}

impl IdempotencyLayer {
    /// Finishes requests whose clients have not come back.
    ///
    /// Through the service that stands inside the layer.
    ///
    /// It is called with the path that the client has sent: where the layer stands inside a nested router, nest again.
    ///
    /// The builder has to [keep requests](super::IdempotencyLayerBuilder::keep_requests). `restore` puts into a request
    /// what the layers outside would have: the principal, from its scope.
    ///
    /// ```
    /// # #[cfg(feature = "sqlite")]
    /// # async fn example(store: annals::SqliteStore, token: tokio_util::sync::CancellationToken) -> Result<(), Box<dyn std::error::Error>> {
    /// use std::sync::Arc;
    ///
    /// use annals::{Scope, http::IdempotencyLayer, process::Completer};
    /// use axum::{Router, http::request::Parts, routing::post};
    ///
    /// #[derive(Clone)]
    /// struct Account(String);
    ///
    /// let scope = |request: &Parts| Scope::new(&request.extensions.get::<Account>()?.0).ok();
    /// let layer = IdempotencyLayer::builder(store.clone(), scope).keep_requests().steps(store.clone()).build()?;
    /// let handlers: Router = Router::new().route("/v1/charges", post(|| async { "charged" }));
    /// let resumer = layer.resumer(handlers.clone(), |scope, request| {
    ///     request.extensions.insert(Account(scope.principal().to_owned()));
    /// });
    /// let app = handlers.layer(layer);
    /// Completer::new(Arc::new(store), Arc::new(resumer)).run(token.cancelled_owned()).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn resumer<S>(&self, inner: S, restore: impl Fn(&Scope, &mut Parts) + Send + Sync + 'static) -> Resumer<S> {
        Resumer { shared: Arc::clone(&self.shared), inner, restore: Box::new(restore) }
    }
}

impl<S> Resumer<S> {
    fn request(&self, scope: &Scope, stored: &StoredRequest) -> Result<Request<Bytes>, Error> {
        let request = Request::builder().method(stored.method.as_str()).uri(stored.uri.as_str());
        let body = Bytes::copy_from_slice(&stored.body);
        let request = request.body(body).map_err(|source| Error::codec("a stored request is none", source))?;
        let (mut parts, body) = request.into_parts();
        for (name, value) in &stored.headers {
            if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_bytes(value)) {
                parts.headers.append(name, value);
            }
        }
        (self.restore)(scope, &mut parts);
        Ok(Request::from_parts(parts, body))
    }

    /// What became of it, as the store has it: whoever asked is not there to be told.
    async fn outcome(shared: &Shared, key: &ScopedKey, is_replayed: bool) -> Result<Resumed, Error> {
        if is_replayed {
            return Ok(Resumed::Elsewhere);
        }
        Ok(match shared.store.find_response(key).await? {
            Some(ClaimedResponse::Finished(finished)) if finished.is_dead => Resumed::GivenUp,
            // It was let go of: nothing has happened, and nobody waits for it.
            Some(ClaimedResponse::Finished(_)) | None => Resumed::Finished,
            Some(_) => Resumed::Unfinished,
        })
    }
}

#[async_trait]
impl<S> Resume for Resumer<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
{
    async fn resume(&self, abandoned: AbandonedRequest) -> Result<Resumed, Error> {
        let AbandonedRequest { scope, key, fingerprint, recipe, request, .. } = abandoned;
        let request = self.request(&scope, &request)?;
        let key = ScopedKey::new(scope, key);
        let asked = Asked::again(key.clone(), (fingerprint, recipe), request);
        let mut inner = self.inner.clone();
        infallible(inner.ready().await.map(|_| ()));
        let (reply, answered) = oneshot::channel();
        let flow = Flow { shared: Arc::clone(&self.shared), asked };
        self.shared.tasks.spawn(flow.answer(inner, reply));
        let is_replayed = answered.await.is_ok_and(|answer| answer.headers().contains_key(answer::REPLAYED));
        Self::outcome(&self.shared, &key, is_replayed).await
    }
}

impl<S> fmt::Debug for Resumer<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resumer").finish_non_exhaustive()
    }
}
