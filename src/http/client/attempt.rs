//! One attempt of a call.

use std::{error::Error as StdError, io, time::Duration};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, StatusCode};
use reqwest::Url;

/// All that is sent, the same each time.
#[derive(Clone)]
pub(super) struct Call {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// What came back, whole.
pub(super) type Reply = (StatusCode, HeaderMap, Bytes);

/// What an attempt without an answer has come to.
#[derive(Debug)]
pub(super) enum Failure {
    /// No connection was made: nothing was sent.
    NotConnected(reqwest::Error),
    /// The server's certificate was not accepted: nothing was sent.
    Untrusted(reqwest::Error),
    /// The request could not be made: nothing was sent.
    Unbuildable(reqwest::Error),
    /// It went wrong at some point after that.
    Broken(reqwest::Error),
    /// It would go wrong in the same way again, such as redirects in a circle.
    Hopeless(reqwest::Error),
    TimedOut,
    TooLarge(StatusCode),
}

impl Failure {
    /// Whether the server may have seen anything of it.
    pub(super) const fn may_have_arrived(&self) -> bool {
        !matches!(self, Self::NotConnected(_) | Self::Untrusted(_) | Self::Unbuildable(_))
    }

    /// Whether another attempt may go better.
    pub(super) const fn may_pass(&self) -> bool {
        matches!(self, Self::NotConnected(_) | Self::Broken(_) | Self::TimedOut)
    }

    fn of(error: reqwest::Error) -> Self {
        // A URL may hold secrets.
        let error = error.without_url();
        if error.is_builder() {
            Self::Unbuildable(error)
        } else if error.is_connect() {
            // Also where connecting took too long.
            if is_of_certificate(&error) { Self::Untrusted(error) } else { Self::NotConnected(error) }
        } else if error.is_timeout() {
            Self::TimedOut
        } else if error.is_redirect() {
            Self::Hopeless(error)
        } else {
            Self::Broken(error)
        }
    }
}

/// Whether a connection was not made because of a certificate. Nothing was sent either way: it decides whether to try again.
///
/// rustls says it by the kind of an I/O error. The other libraries that an application may choose have types of their own,
/// that cannot be named here: theirs is told by the one word that all of them use.
fn is_of_certificate(error: &reqwest::Error) -> bool {
    let mut beneath: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(error) = beneath {
        if error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::InvalidData)
            || error.to_string().contains("certificate")
        {
            return true;
        }
        beneath = error.source();
    }
    false
}

/// Sends a call once, and reads the answer to its end.
pub(super) async fn attempt(
    http: &reqwest::Client,
    call: &Call,
    (within, most_bytes): (Duration, usize),
) -> Result<Reply, Failure> {
    let mut request = reqwest::Request::new(call.method.clone(), call.url.clone());
    *request.headers_mut() = call.headers.clone();
    if !call.body.is_empty() {
        *request.body_mut() = Some(call.body.clone().into());
    }
    let exchange = async {
        let mut response = http.execute(request).await.map_err(Failure::of)?;
        let (status, headers) = (response.status(), response.headers().clone());
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(Failure::of)? {
            if body.len() + chunk.len() > most_bytes {
                return Err(Failure::TooLarge(status));
            }
            body.extend_from_slice(&chunk);
        }
        Ok((status, headers, body.freeze()))
    };
    tokio::time::timeout(within, exchange).await.unwrap_or(Err(Failure::TimedOut))
}
