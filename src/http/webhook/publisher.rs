//! Recorded events on their way to another service's endpoint.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{FutureExt as _, StreamExt as _, stream};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use reqwest::{Client, Response, Url};

use super::{WEBHOOK_ID, WEBHOOK_SIGNATURE, WEBHOOK_TIMESTAMP, WebhookSecret};
use crate::{
    http::client::retry_after,
    process::{Message, PublishError, Publisher},
    store::{Clock, Error, SystemClock},
};

/// How long an attempt may take, if nothing else is said: as Standard Webhooks has it.
const ATTEMPT: Duration = Duration::from_secs(20);

/// The longest that can be set.
const LONGEST: Duration = Duration::from_secs(60 * 60);

/// How many messages are under way at once, if nothing else is said.
const AT_ONCE: usize = 8;

/// How much of an answer's body is read so that its connection can be used again. What is longer is left there.
const DRAINED_BYTES: usize = 64 << 10;

/// How long it is read.
const DRAINED_FOR: Duration = Duration::from_secs(1);

const STRUCTURED: HeaderValue = HeaderValue::from_static("application/cloudevents+json; charset=utf-8");
const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// Takes messages to an endpoint, each as one signed POST.
///
/// The body is the CloudEvent, in the structured mode. `webhook-id` and `Idempotency-Key` are the message's id, the same each
/// time. One attempt for each message: the [`Relay`](crate::process::Relay) sees to the others, and to the order, one at
/// a time for each aggregate.
///
/// | Answer | means |
/// |---|---|
/// | 2xx | the endpoint has it |
/// | none, 408, 425, 429, 502, 503, 504, 5xx with `Retry-After` | it is away: the relay waits, at least as long as it asks to |
/// | any other 5xx | it has failed at this message: sent again as often as the relay's attempts say |
/// | 410 | it wants no more, ever: the relay ends |
/// | any other | the message is refused for good: the relay parks it, or ends |
///
/// Redirects are no acknowledgement, followed or not: give it the endpoint's own URL, and a client that follows none.
///
/// ```
/// # async fn example(store: annals::SqliteStore, http: reqwest::Client) -> Result<(), annals::Error> {
/// use annals::{http::webhook::{WebhookPublisher, WebhookSecret}, process::Relay};
///
/// let secret = WebhookSecret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")?;
/// let partner = WebhookPublisher::new(http, "https://partner.example.com/hooks", secret)?;
/// let shutdown = async { /* any future: a signal, a channel, a token */ };
/// Relay::new(&store, "orders-to-partner", partner)?.source("/orders")?.run(shutdown).await
/// # }
/// ```
#[derive(Clone)]
#[must_use]
pub struct WebhookPublisher {
    http: Client,
    url: Url,
    secrets: Vec<WebhookSecret>,
    attempt_timeout: Duration,
    at_once: usize,
    clock: Arc<dyn Clock>,
}

/// Tells what was met at an endpoint.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WebhookFailure {
    /// It has answered, and not that it has the message.
    #[error("the endpoint has answered {0}")]
    Answered(StatusCode),
    /// It says that it is gone for good: take it off the list of endpoints.
    #[error("the endpoint is gone for good")]
    Gone,
    /// Somebody sends those who come there elsewhere.
    #[error("the endpoint redirects")]
    Redirected,
    /// It has not answered in time.
    #[error("the endpoint has not answered within {0:?}")]
    TimedOut(Duration),
    /// There was no answer.
    #[error("the endpoint could not be reached, or has not answered")]
    Unreached(#[source] reqwest::Error),
    /// The request cannot be made.
    #[error("the message cannot be sent")]
    Unsendable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl WebhookPublisher {
    /// Sends to a URL, signed with a secret.
    ///
    /// TLS, proxies and default headers are those of the client.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`]: it is no URL of the scheme `https` or `http`.
    pub fn new(http: Client, url: impl AsRef<str>, secret: WebhookSecret) -> Result<Self, Error> {
        let url = Url::parse(url.as_ref()).ok().filter(|url| matches!(url.scheme(), "https" | "http"));
        let url = url.ok_or_else(|| Error::invalid("an endpoint is a URL of https or http"))?;
        let (attempt_timeout, at_once) = (ATTEMPT, AT_ONCE);
        Ok(Self { http, url, secrets: vec![secret], attempt_timeout, at_once, clock: Arc::new(SystemClock) })
    }

    /// Signs with this secret as well: while the receiver changes to it.
    pub fn also(mut self, secret: WebhookSecret) -> Self {
        self.secrets.push(secret);
        self
    }

    /// How long an attempt may take, to the answer's status.
    ///
    /// Up to an hour. Default: 20 s.
    pub fn attempt_timeout(mut self, timeout: Duration) -> Self {
        self.attempt_timeout = timeout.min(LONGEST);
        self
    }

    /// How many messages are under way at once, of different aggregates.
    ///
    /// 1 to 1,000. Default: 8.
    pub fn at_once(mut self, messages: usize) -> Self {
        self.at_once = messages.clamp(1, 1_000);
        self
    }

    /// Tells the time of signatures by this clock. Default: the machine's.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    fn request(&self, message: &Message) -> Result<reqwest::Request, WebhookFailure> {
        let (body, sent_at) = (Bytes::copy_from_slice(message.cloud_event().as_bytes()), self.clock.now());
        let signatures: Vec<_> = self.secrets.iter().map(|secret| secret.sign(message.id(), sent_at, &body)).collect();
        let header = |text: &str| HeaderValue::from_str(text).map_err(|error| WebhookFailure::Unsendable(error.into()));
        let id = header(message.id())?;
        let headers = HeaderMap::from_iter([
            (header::CONTENT_TYPE, STRUCTURED),
            (header::HeaderName::from_static(IDEMPOTENCY_KEY), id.clone()),
            (header::HeaderName::from_static(WEBHOOK_ID), id),
            (header::HeaderName::from_static(WEBHOOK_TIMESTAMP), header(&sent_at.timestamp().to_string())?),
            (header::HeaderName::from_static(WEBHOOK_SIGNATURE), header(&signatures.join(" "))?),
        ]);
        let request = self.http.post(self.url.clone()).headers(headers).body(body).build();
        request.map_err(|error| WebhookFailure::Unsendable(error.without_url().into()))
    }

    async fn send(&self, message: &Message) -> Result<(), PublishError> {
        let request = self.request(message).map_err(PublishError::refused)?;
        let answered = tokio::time::timeout(self.attempt_timeout, self.http.execute(request)).await;
        let response = match answered {
            Ok(Ok(response)) => response,
            Ok(Err(error)) if error.is_redirect() => return Err(PublishError::refused(WebhookFailure::Redirected)),
            // A URL may hold secrets.
            Ok(Err(error)) => {
                return Err(PublishError::unavailable(WebhookFailure::Unreached(error.without_url())));
            }
            Err(_) => return Err(PublishError::unavailable(WebhookFailure::TimedOut(self.attempt_timeout))),
        };
        let told = self.judge(&response);
        // The status is the answer, whatever becomes of the rest.
        drop(tokio::time::timeout(DRAINED_FOR, drain(response)).await);
        told
    }

    /// Sends a message unless the endpoint has shown meanwhile that it takes none.
    async fn send_unless(&self, end: &Mutex<Option<PublishError>>, message: &Message) -> Result<(), PublishError> {
        let ended = end.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(ended) = ended {
            return Err(ended);
        }
        let sent = self.send(message).await;
        if let Err(error @ (PublishError::Unavailable { .. } | PublishError::Gone { .. })) = &sent {
            *end.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.clone());
        }
        sent
    }

    fn judge(&self, response: &Response) -> Result<(), PublishError> {
        let status = response.status();
        // A client that follows redirects has asked somebody else, perhaps by GET: what they say is no acknowledgement.
        if status.is_redirection() || *response.url() != self.url {
            return Err(PublishError::refused(WebhookFailure::Redirected));
        }
        let answered = WebhookFailure::Answered(status);
        let asked = retry_after(response.headers(), self.clock.now());
        match (status.as_u16(), asked) {
            (200..300, _) => Ok(()),
            (410, _) => Err(PublishError::gone(WebhookFailure::Gone)),
            (408 | 425 | 429 | 500..600, Some(asked)) => Err(PublishError::unavailable_for(asked, answered)),
            (408 | 425 | 429 | 502 | 503 | 504, None) => Err(PublishError::unavailable(answered)),
            (500..600, None) => Err(PublishError::failed(answered)),
            _ => Err(PublishError::refused(answered)),
        }
    }
}

/// Reads an answer to its end, where that is near: then its connection can be used again.
async fn drain(mut response: Response) {
    let mut read = 0;
    while let Ok(Some(chunk)) = response.chunk().await {
        read += chunk.len();
        if read > DRAINED_BYTES {
            return;
        }
    }
}

#[async_trait]
impl Publisher for WebhookPublisher {
    async fn publish(&self, messages: &[Message]) -> Vec<Result<(), PublishError>> {
        // Once it is away, or gone, whatever was not begun is not sent to it either.
        let end = Mutex::new(None);
        let mut sending = Vec::with_capacity(messages.len());
        for message in messages {
            sending.push(self.send_unless(&end, message).boxed());
        }
        stream::iter(sending).buffered(self.at_once).collect().await
    }
}

impl fmt::Debug for WebhookPublisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Paths and queries of endpoints are often secrets themselves.
        f.debug_struct("WebhookPublisher").field("host", &self.url.host_str()).finish_non_exhaustive()
    }
}
