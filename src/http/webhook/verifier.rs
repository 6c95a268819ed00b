//! Checking webhooks that come in.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use http::HeaderMap;

use super::{WEBHOOK_ID, WEBHOOK_SIGNATURE, WEBHOOK_TIMESTAMP, WebhookError, WebhookSecret, secret};
use crate::{
    process::IncomingMessage,
    store::{Clock, SystemClock},
};

/// How far clocks may differ, and how long a message may be under way, if nothing else is said.
const TOLERANCE: Duration = Duration::from_secs(5 * 60);

/// The most bytes of a body, if nothing else is said.
const BODY_BYTES: usize = 1 << 20;

/// The most bytes of an id.
const ID_BYTES: usize = 255;

/// The most signatures of one message: those that come after are not looked at.
const MOST_SIGNATURES: usize = 16;

/// The most digits of a time in seconds.
const TIME_DIGITS: usize = 12;

/// Checks that webhooks come from whoever has the secret, and were just signed.
///
/// As [Standard Webhooks](https://www.standardwebhooks.com) has it.
#[derive(Debug, Clone)]
#[must_use]
pub struct WebhookVerifier {
    secrets: Vec<WebhookSecret>,
    tolerance: Duration,
    body_bytes: usize,
    clock: Arc<dyn Clock>,
}

/// A webhook whose signature fits.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct VerifiedWebhook {
    /// For the inbox: the webhook's id, and its body.
    pub message: IncomingMessage,
    /// When it was signed. Each attempt is signed anew.
    pub sent_at: DateTime<Utc>,
}

impl WebhookVerifier {
    /// Believes what is signed with this secret.
    pub fn new(secret: WebhookSecret) -> Self {
        Self { secrets: vec![secret], tolerance: TOLERANCE, body_bytes: BODY_BYTES, clock: Arc::new(SystemClock) }
    }

    /// Believes what is signed with this one as well: while secrets are changed.
    pub fn also(mut self, secret: WebhookSecret) -> Self {
        self.secrets.push(secret);
        self
    }

    /// Sets how long ago, or how far in the future, it may have been signed.
    ///
    /// Default: 5 minutes.
    pub const fn tolerance(mut self, tolerance: Duration) -> Self {
        self.tolerance = tolerance;
        self
    }

    /// Takes bodies of up to so many bytes. Default: 1 MiB.
    pub const fn body_bytes(mut self, bytes: usize) -> Self {
        self.body_bytes = bytes;
        self
    }

    /// Tells the time by this clock. Default: the machine's.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Checks a webhook: first its signature, then when it was signed.
    ///
    /// To be done before anything else, and with the body byte by byte as it came in.
    ///
    /// # Errors
    ///
    /// A [`WebhookError`]: answer with its [`status`](WebhookError::status), and do nothing else.
    pub fn verify(&self, headers: &HeaderMap, body: &[u8]) -> Result<VerifiedWebhook, WebhookError> {
        if body.len() > self.body_bytes {
            return Err(WebhookError::TooLarge);
        }
        let id = text(headers, WEBHOOK_ID)?;
        // The stop divides what is signed: an id with one could be cut elsewhere.
        if id.is_empty() || id.len() > ID_BYTES || id.contains('.') {
            return Err(WebhookError::Malformed(WEBHOOK_ID));
        }
        let timestamp = text(headers, WEBHOOK_TIMESTAMP)?;
        let seconds = seconds(timestamp).ok_or(WebhookError::Malformed(WEBHOOK_TIMESTAMP))?;
        if !self.has_signature(text(headers, WEBHOOK_SIGNATURE)?, |secret, signature| {
            secret.has_signed(signature, id, seconds, body)
        }) {
            return Err(WebhookError::WrongSignature);
        }
        let sent_at = DateTime::from_timestamp(seconds, 0).ok_or(WebhookError::Malformed(WEBHOOK_TIMESTAMP))?;
        let age = self.clock.now().signed_duration_since(sent_at);
        let tolerance = TimeDelta::from_std(self.tolerance).unwrap_or(TimeDelta::MAX);
        if age > tolerance {
            return Err(WebhookError::TooOld);
        }
        // Whole seconds are signed: up to one of them is lost.
        if -age > tolerance {
            return Err(WebhookError::TooNew);
        }
        let message = IncomingMessage::new(id, body).map_err(|_| WebhookError::Malformed(WEBHOOK_ID))?;
        Ok(VerifiedWebhook { message, sent_at })
    }

    /// Tells whether one of the signatures is of one of the secrets.
    fn has_signature(&self, signatures: &str, has_signed: impl Fn(&WebhookSecret, &[u8]) -> bool) -> bool {
        let signatures = signatures.split_ascii_whitespace().take(MOST_SIGNATURES);
        signatures
            .filter_map(secret::decoded)
            .any(|signature| self.secrets.iter().any(|secret| has_signed(secret, &signature)))
    }
}

fn text<'h>(headers: &'h HeaderMap, name: &'static str) -> Result<&'h str, WebhookError> {
    let mut found = headers.get_all(name).iter();
    match (found.next(), found.next()) {
        (Some(value), None) => value.to_str().map_err(|_| WebhookError::Malformed(name)),
        _ => Err(WebhookError::Missing(name)),
    }
}

/// A time as it is signed: another way to write the same number has another signature.
fn seconds(timestamp: &str) -> Option<i64> {
    let is_plain = timestamp.bytes().all(|byte| byte.is_ascii_digit()) && timestamp.len() <= TIME_DIGITS;
    timestamp.parse::<i64>().ok().filter(|seconds| is_plain && seconds.to_string() == timestamp)
}
