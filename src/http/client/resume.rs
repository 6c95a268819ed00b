//! Calls that an earlier process, or an earlier attempt, has left behind.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use reqwest::Url;

use super::{Answer, ClientError, RetryingClient, attempt::Call, kept, request::replace, telemetry};
use crate::store::{CallLease, Error, IdempotencyKey, PendingCall, StoredRequest};

/// What has become of one call that was resumed.
#[derive(Debug)]
#[non_exhaustive]
pub struct Resumed {
    /// The call, as it stood before.
    pub call: PendingCall,
    /// Its answer, or why it has none still.
    pub outcome: Result<Answer, ClientError>,
}

/// Counts what has become of the calls that were there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Resumption {
    /// They have an answer now.
    pub answered: u32,
    /// They have none still.
    pub unresolved: u32,
    /// Somebody else is sending them.
    pub in_hand: u32,
    /// The application has left them out.
    pub left_out: u32,
}

/// How many calls are listed at once.
const PAGE: u32 = 100;

impl RetryingClient {
    /// Sends a call again that has no answer.
    ///
    /// The same request under the same key. `None`: it is not there, or in hand.
    /// `secrets` are the headers that were not kept, such as `Authorization`.
    ///
    /// # Errors
    ///
    /// As for [`RequestBuilder::send`](super::RequestBuilder::send).
    pub async fn resume(&self, key: &IdempotencyKey, secrets: HeaderMap) -> Result<Option<Answer>, ClientError> {
        self.settings().check().map_err(ClientError::invalid)?;
        let resumed = self.resume_held(key, secrets).await;
        tell(&resumed);
        let Some((answer, lease)) = resumed? else { return Ok(None) };
        kept::resolve(self, &lease).await;
        Ok(Some(answer))
    }

    /// Sends all calls again that have no answer and that nobody sends.
    ///
    /// The oldest first, one after the other.
    /// For the start of a process, and now and then. `secrets` gives the headers that were not kept; `None` leaves the call
    /// as it is. `each` is told what has become of a call, which is removed after that: what it has noted is not lost.
    /// Calls that are begun meanwhile are not looked at.
    ///
    /// # Errors
    ///
    /// The calls could not be listed: call again.
    pub async fn resume_all<S, E>(&self, mut secrets: S, mut each: E) -> Result<Resumption, Error>
    where
        S: FnMut(&PendingCall) -> Option<HeaderMap> + Send,
        E: FnMut(Resumed) + Send,
    {
        self.settings().check().map_err(Error::invalid)?;
        let (mut counted, mut after, mut began) = (Resumption::default(), None, None);
        loop {
            let page = self.pending(after.as_ref(), PAGE).await?;
            // By the store's clock, which is not always this machine's.
            began = began.or_else(|| page.first().map(|call| call.created_at + call.age));
            for call in &page {
                if began.is_some_and(|began| call.created_at > began) {
                    return Ok(counted);
                }
                if !call.lease_left.is_zero() {
                    counted.in_hand += 1;
                    continue;
                }
                let resumed = match kept::too_old(self, call) {
                    Some(error) => Err(error),
                    None => match secrets(call) {
                        Some(secrets) => self.resume_held(&call.name.key, secrets).await,
                        None => {
                            counted.left_out += 1;
                            continue;
                        }
                    },
                };
                tell(&resumed);
                let (outcome, lease) = match resumed {
                    Ok(Some((answer, lease))) => (Ok(answer), Some(lease)),
                    Ok(None) => {
                        counted.in_hand += 1;
                        continue;
                    }
                    Err(error) => (Err(error), None),
                };
                *(if outcome.is_ok() { &mut counted.answered } else { &mut counted.unresolved }) += 1;
                each(Resumed { call: call.clone(), outcome });
                if let Some(lease) = lease {
                    kept::resolve(self, &lease).await;
                }
            }
            match page.into_iter().last() {
                Some(last) => after = Some(last),
                None => return Ok(counted),
            }
        }
    }

    async fn resume_held(
        &self,
        key: &IdempotencyKey,
        secrets: HeaderMap,
    ) -> Result<Option<(Answer, CallLease)>, ClientError> {
        let lease = CallLease::new(self.call_name(key.clone()));
        let taken =
            self.keys().take_call(&lease, self.settings().lease(Duration::ZERO)).await.map_err(ClientError::Keys)?;
        let Some(taken) = taken else { return Ok(None) };
        let refused = match kept::too_old(self, &taken.pending) {
            Some(error) => error,
            None => match self.call_of(&taken.request, key, secrets) {
                Ok(call) => return kept::send_held(self, &call, lease, true).await.map(Some),
                Err(error) => error,
            },
        };
        kept::let_go(self, &lease).await;
        Err(refused)
    }

    /// The call as it was sent before.
    fn call_of(&self, kept: &StoredRequest, key: &IdempotencyKey, secrets: HeaderMap) -> Result<Call, ClientError> {
        let damaged = |_| ClientError::Keys(Error::corrupt("what is kept of a call is no request"));
        let mut headers = HeaderMap::new();
        for (name, value) in &kept.headers {
            let name: HeaderName = name.parse().map_err(|_| damaged(()))?;
            headers.append(name, HeaderValue::from_bytes(value).map_err(|_| damaged(()))?);
        }
        replace(&mut headers, secrets);
        kept::add_key(self, &mut headers, key)?;
        Ok(Call {
            method: Method::from_bytes(kept.method.as_bytes()).map_err(|_| damaged(()))?,
            url: Url::parse(&kept.uri).map_err(|_| damaged(()))?,
            headers,
            body: Bytes::copy_from_slice(&kept.body),
        })
    }
}

fn tell(resumed: &Result<Option<(Answer, CallLease)>, ClientError>) {
    match resumed {
        Ok(Some((answer, _))) => telemetry::answered(answer.replayed),
        Ok(None) => {}
        Err(error) => telemetry::failed(error),
    }
}
