//! The payment service, as it is seen from here: another system, asked over HTTP under the keys of steps.

use std::{sync::Arc, time::Duration};

use annals::{
    IdempotencyKey,
    http::client::{Answer, ClientError, RetryingClient},
    process::StepFailure,
    store::KeyStore,
};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};

use crate::order::{Card, Placed};

/// Whose account it is there.
pub const TOKEN: &str = "sk_fulfilment";

/// The name under which calls of the service are kept until they are answered.
pub const CLIENT: &str = "payments";

/// How long a bank takes that takes its time, in milliseconds.
const SLOW_BANK_MS: u32 = 1_500;

/// What is asked for by the step `charge`. Stored with it, and sent again as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Charge {
    pub order: String,
    pub cents: u32,
    pub card: Card,
}

/// What the step `charge` has come to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Charged {
    /// The payment service's id of it.
    pub charge: String,
    /// The key it was asked under.
    pub key: String,
    /// How often it was asked until there was an answer, this time.
    pub attempts: u32,
    /// The answer had been given before, and was lost on its way.
    pub replayed: bool,
}

/// Why a charge was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Refusal {
    Declined,
}

/// How long is waited for the payment service, and how often it is asked.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// For one answer.
    pub answer: Duration,
    pub attempts: u32,
    /// With all attempts: the step is then taken up again later, under its key.
    pub call: Duration,
    /// Between two attempts, at the most.
    pub pause: Duration,
}

/// The payment service at an address.
#[derive(Debug, Clone)]
pub struct Payments {
    client: RetryingClient,
    address: Arc<str>,
}

impl Charge {
    pub fn of(order: &Placed) -> Self {
        Self { order: order.number.clone(), cents: order.total_cents(), card: order.card }
    }

    /// The form that is sent: the same bytes for the same charge.
    fn form(&self) -> Vec<(&'static str, String)> {
        let mut form = vec![
            ("amount", self.cents.to_string()),
            ("currency", "eur".to_owned()),
            ("metadata[order]", self.order.clone()),
        ];
        match self.card {
            Card::Good => {}
            Card::Declined => form.push(("metadata[fail]", "decline".to_owned())),
            Card::Slow => form.push(("metadata[delay_ms]", SLOW_BANK_MS.to_string())),
        }
        form
    }
}

/// An object as the service answers it; it has more members.
#[derive(Debug, Deserialize)]
struct Object {
    id: String,
}

impl Payments {
    /// `keys` keeps what was sent until it is answered.
    pub fn new(address: &str, keys: impl KeyStore + 'static, patience: Patience) -> Self {
        // This package's build of reqwest leaves the cryptography to its user. Installed twice is no matter.
        let _ = rustls::crypto::ring::default_provider().install_default();
        // A connection for each request: a process that was killed leaves none behind that looks usable.
        let http = reqwest::Client::builder().pool_max_idle_per_host(0).build().unwrap_or_default();
        let client = RetryingClient::new(http, keys)
            .named(CLIENT)
            .attempts(patience.attempts)
            .attempt_timeout(patience.answer)
            .deadline(patience.call)
            .lease_margin(Duration::from_secs(1))
            .pauses(patience.pause / 4, patience.pause)
            .longest_retry_after(Duration::from_secs(1));
        Self { client, address: address.into() }
    }

    /// Takes money. Asked again under the same key it is the same charge.
    pub async fn charge(&self, key: IdempotencyKey, charge: &Charge) -> Result<Charged, StepFailure> {
        self.ask(key, charge).await?.map_err(StepFailure::refused)
    }

    /// Gives it back. What is not known to have been charged is found out first, by the same request under the same key.
    pub async fn refund(
        &self,
        undo_key: IdempotencyKey,
        action_key: IdempotencyKey,
        charge: &Charge,
        charged: Option<Charged>,
    ) -> Result<(), StepFailure> {
        let charged = match charged {
            Some(charged) => charged,
            None => match self.ask(action_key, charge).await? {
                Ok(charged) => charged,
                Err(Refusal::Declined) => return Ok(()),
            },
        };
        let form = [("charge", charged.charge), ("metadata[order]", charge.order.clone())];
        let answer = self.post("/v1/refunds", undo_key, form).await?;
        match answer.status {
            StatusCode::CREATED => Ok(()),
            status => Err(unexpected(status)),
        }
    }

    async fn ask(&self, key: IdempotencyKey, charge: &Charge) -> Result<Result<Charged, Refusal>, StepFailure> {
        let answer = self.post("/v1/charges", key.clone(), charge.form()).await?;
        match answer.status {
            StatusCode::CREATED => {
                let Object { id: charge } = answer.json()?;
                let (key, attempts, replayed) = (key.as_str().to_owned(), answer.attempts, answer.replayed);
                Ok(Ok(Charged { charge, key, attempts, replayed }))
            }
            StatusCode::PAYMENT_REQUIRED => Ok(Err(Refusal::Declined)),
            status => Err(unexpected(status)),
        }
    }

    async fn post(
        &self,
        path: &str,
        key: IdempotencyKey,
        form: impl IntoIterator<Item = (&'static str, String)>,
    ) -> Result<Answer, StepFailure> {
        let url = format!("{}{path}", self.address);
        let request = self.client.post(url).bearer_auth(TOKEN).form(form).idempotency_key(key);
        request.send().await.map_err(|error: ClientError| {
            if error.is_retryable() { StepFailure::retryable(error) } else { StepFailure::unknown(error) }
        })
    }
}

/// An answer that says nothing of the card: that this program and the service do not fit, for people to look at.
fn unexpected(status: StatusCode) -> StepFailure {
    StepFailure::unknown(format!("the payment service answers {status}"))
}
