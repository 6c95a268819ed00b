//! A request, as it is put together.

use std::fmt;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use reqwest::Url;
use serde::Serialize;

use super::{Answer, ClientError, RetryingClient, attempt::Call, kept, send::Sending, telemetry};
use crate::store::{CALL_BODY_BYTES, IdempotencyKey};

/// Puts a request together, and sends it.
///
/// Its body is bytes, for every attempt has the same ones: a stream, which can be read once, is not taken.
///
/// ```compile_fail
/// # fn example(client: annals::http::client::RetryingClient, stream: reqwest::Body) {
/// client.post("https://api.example.com/v1/charges").body(stream);
/// # }
/// ```
#[must_use = "nothing is sent without `send`"]
pub struct RequestBuilder {
    client: RetryingClient,
    method: Method,
    url: String,
    headers: HeaderMap,
    body: Bytes,
    key: Option<IdempotencyKey>,
    until_confirmed: bool,
    wrong: Option<String>,
}

impl RequestBuilder {
    pub(super) fn new(client: RetryingClient, method: Method, url: &str) -> Self {
        let (headers, body) = (HeaderMap::new(), Bytes::new());
        Self { client, method, url: url.to_owned(), headers, body, key: None, until_confirmed: false, wrong: None }
    }

    /// Adds a header. One that is wrong is told by [`send`](Self::send).
    pub fn header<N, V>(mut self, name: N, value: V) -> Self
    where
        N: TryInto<HeaderName>,
        V: TryInto<HeaderValue>,
    {
        match (name.try_into(), value.try_into()) {
            (Ok(name), Ok(value)) => drop(self.headers.append(name, value)),
            (Err(_), _) => self.is_wrong("a header's name is none"),
            (_, Err(_)) => self.is_wrong("a header's value cannot stand in a header"),
        }
        self
    }

    /// Adds headers; those that were there under their names give way.
    pub fn headers(mut self, headers: HeaderMap) -> Self {
        replace(&mut self.headers, headers);
        self
    }

    /// Sets `Authorization: Bearer …`. It is not kept.
    pub fn bearer_auth(mut self, token: impl fmt::Display) -> Self {
        match HeaderValue::from_str(&format!("Bearer {token}")) {
            Ok(mut value) => {
                value.set_sensitive(true);
                self.headers.insert(header::AUTHORIZATION, value);
            }
            Err(_) => self.is_wrong("a token cannot stand in a header"),
        }
        self
    }

    /// Sets the body: up to 16 MiB.
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// Sets the body to JSON.
    pub fn json(mut self, value: &(impl Serialize + ?Sized)) -> Self {
        match serde_json::to_vec(value) {
            Ok(json) => self.body_of(json, "application/json"),
            Err(_) => {
                self.is_wrong("the body cannot be written as JSON");
                self
            }
        }
    }

    /// Sets the body to a form's pairs of names and values.
    pub fn form<N: AsRef<str>, V: AsRef<str>>(self, pairs: impl IntoIterator<Item = (N, V)>) -> Self {
        let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        self.body_of(form, "application/x-www-form-urlencoded")
    }

    /// Sends under this key, and not under one that is made for it.
    ///
    /// Where the application can derive it from what it does, such as an order's number, even an application that has lost
    /// its memory does it once. A key in the header is the same.
    pub fn idempotency_key(mut self, key: IdempotencyKey) -> Self {
        self.key = Some(key);
        self
    }

    /// Keeps the call also when it has its answer.
    ///
    /// Until [`forget`](RetryingClient::forget) is called.
    /// So an application that dies between the answer and its own note of it finds the call, and asks again.
    pub fn until_confirmed(mut self) -> Self {
        self.until_confirmed = true;
        self
    }

    /// Sends the request until it has an answer that counts.
    ///
    /// One that the service will repeat, or says is the last.
    /// An answer that says no is an answer. Whoever drops the future lets the call be: it can be resumed when its lease has
    /// lapsed.
    ///
    /// # Errors
    ///
    /// [`ClientError::OutcomeUnknown`]: send it again under the key, later; or resume it. [`ClientError::Unsent`]: call again.
    pub async fn send(self) -> Result<Answer, ClientError> {
        let answered = self.carry_out().await;
        match &answered {
            Ok(answer) => telemetry::answered(answer.replayed),
            Err(error) => telemetry::failed(error),
        }
        answered
    }

    async fn carry_out(mut self) -> Result<Answer, ClientError> {
        if let Some(wrong) = self.wrong.take() {
            return Err(ClientError::Invalid { message: wrong });
        }
        self.client.settings().check().map_err(ClientError::invalid)?;
        if self.body.len() > CALL_BODY_BYTES {
            let found = self.body.len();
            return Err(ClientError::invalid(format!("a body has at most {CALL_BODY_BYTES} bytes, not {found}")));
        }
        let url = checked_url(&self.url)?;
        let key = self.take_key()?;
        let call = Call { method: self.method, url, headers: self.headers, body: self.body };
        let client = &self.client;
        if is_read(&call.method) {
            if key.is_some() {
                return Err(ClientError::invalid("a read has no key"));
            }
            let read = Sending::new(client, &call, None).run().await;
            return read.map_err(kept::unread);
        }
        let key = key.unwrap_or_else(IdempotencyKey::random);
        let (answer, lease) = kept::send(client, call, key).await?;
        if self.until_confirmed {
            kept::let_go(client, &lease).await;
        } else {
            kept::resolve(client, &lease).await;
        }
        Ok(answer)
    }

    /// The caller's key, from wherever it was put.
    fn take_key(&mut self) -> Result<Option<IdempotencyKey>, ClientError> {
        let settings = self.client.settings();
        let mut found = self.headers.get_all(&settings.key_header).iter();
        let key = match (found.next(), found.next()) {
            (None, _) => self.key.take(),
            (Some(_), Some(_)) => return Err(ClientError::invalid("a request has one key, not several")),
            (Some(value), None) => {
                let in_header =
                    settings.key_form.read(value).map_err(|error| ClientError::invalid(error.to_string()))?;
                if self.key.as_ref().is_some_and(|key| *key != in_header) {
                    return Err(ClientError::invalid("a request has one key: its header has another"));
                }
                Some(in_header)
            }
        };
        let name = settings.key_header.clone();
        self.headers.remove(name);
        Ok(key)
    }

    fn body_of(mut self, body: impl Into<Bytes>, content_type: &'static str) -> Self {
        self.headers.entry(header::CONTENT_TYPE).or_insert(HeaderValue::from_static(content_type));
        self.body(body)
    }

    fn is_wrong(&mut self, wrong: &str) {
        self.wrong.get_or_insert_with(|| wrong.to_owned());
    }
}

impl RetryingClient {
    /// Takes a request that reqwest has made.
    ///
    /// One with a stream for its body is refused by [`RequestBuilder::send`].
    /// Headers that the application has set are taken with it.
    pub fn request_of(&self, mut request: reqwest::Request) -> RequestBuilder {
        let mut taken = self.request(request.method().clone(), request.url().as_str());
        taken.headers = std::mem::take(request.headers_mut());
        match request.body().map(reqwest::Body::as_bytes) {
            None => {}
            Some(Some(bytes)) => taken.body = Bytes::copy_from_slice(bytes),
            Some(None) => taken.is_wrong("a body that is a stream cannot be sent twice: give it as bytes"),
        }
        taken
    }
}

/// Puts headers in the place of those of the same names.
pub(super) fn replace(headers: &mut HeaderMap, by: HeaderMap) {
    let mut name = None;
    for (next, value) in by {
        match next {
            Some(first) => {
                headers.insert(&first, value);
                name = Some(first);
            }
            // Of the same name as the one before.
            None => drop(name.as_ref().map(|name| headers.append(name, value))),
        }
    }
}

/// The methods that change nothing.
fn is_read(method: &Method) -> bool {
    [Method::GET, Method::HEAD, Method::OPTIONS, Method::TRACE].contains(method)
}

/// A URL that something can be sent to, and that can be kept.
fn checked_url(url: &str) -> Result<Url, ClientError> {
    // Not with what the parser says: it may show the URL.
    let mut url = Url::parse(url).map_err(|_| ClientError::invalid("the URL is none"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(ClientError::invalid("the URL is not of http or https"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(ClientError::invalid("a name or password in the URL would be kept: put it into a header"));
    }
    url.set_fragment(None);
    Ok(url)
}

impl fmt::Debug for RequestBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let body_bytes = self.body.len();
        f.debug_struct("RequestBuilder")
            .field("method", &self.method)
            .field("body_bytes", &body_bytes)
            .finish_non_exhaustive()
    }
}
