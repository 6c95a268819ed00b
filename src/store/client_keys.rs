//! The port of requests that a client of other services has under way.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{Error, Fingerprint, IdempotencyKey, StoredRequest};

/// Names a call: a request to another service, under its key.
///
/// Keys are told apart by the client they belong to, which stands for one service and one account there.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CallName {
    /// The client's name: 1 to 200 bytes without NUL.
    pub client: Arc<str>,
    /// The key that every attempt is sent with.
    pub key: IdempotencyKey,
}

/// A call that is about to be sent.
///
/// For the first time, or once more by whoever knows its key.
#[derive(Debug, Clone)]
pub struct NewCall {
    /// Its client and key.
    pub name: CallName,
    /// Tells it from another request under the same key.
    pub fingerprint: Fingerprint,
    /// What is sent, without its secrets. The URI is the whole URL.
    pub request: StoredRequest,
}

/// The right to send a call, for as long as nobody has taken it over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallLease {
    /// The call.
    pub name: CallName,
    /// The fence: names one holding of the call.
    ///
    /// Made for it, and never used for another.
    pub holder: Uuid,
}

impl CallLease {
    /// Makes a lease that nobody else has.
    #[must_use]
    pub fn new(name: CallName) -> Self {
        Self { name, holder: Uuid::new_v7(uuid::Timestamp::now(uuid::NoContext)) }
    }
}

/// Says what became of a call that was to be begun.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum BegunCall {
    /// It is kept now, and has never been sent.
    New,
    /// It was kept before, and may have been sent.
    Again(PendingCall),
    /// Somebody else is sending it.
    InHand {
        /// How long they have the right to still.
        lease_left: Duration,
    },
    /// The key stands for another request.
    OtherRequest,
}

/// A call whose outcome is not known, without its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingCall {
    /// Its client and key.
    pub name: CallName,
    /// The method.
    pub method: String,
    /// The URL.
    pub url: String,
    /// When it was first kept, just before it was first sent.
    pub created_at: DateTime<Utc>,
    /// How long ago that was, by the clock that told it.
    pub age: Duration,
    /// How often it was taken up to be sent, the first time included.
    pub takes: u32,
    /// How long whoever sends it has the right to still; zero: nobody does.
    pub lease_left: Duration,
}

/// A call that was taken up, to be sent once more.
///
/// With all that is needed but its secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakenCall {
    /// How it stands.
    pub pending: PendingCall,
    /// What is sent.
    pub request: StoredRequest,
}

/// Which calls to list, the oldest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallQuery {
    /// Of this client.
    pub client: Arc<str>,
    /// Behind this one; `None`: from the oldest.
    pub after: Option<(DateTime<Utc>, IdempotencyKey)>,
    /// How many: 1 to 1,000.
    pub limit: u32,
}

/// Keeps the requests of a client until their outcome is known.
///
/// And says who sends each.
/// Object-safe. What it has acknowledged survives a crash, or else nothing is gained by it. Times are the database
/// server's, or the store's clock where that is another than the machine's.
#[async_trait]
pub trait KeyStore: fmt::Debug + Send + Sync {
    /// Keeps a call with the right to send it; or takes it up, where it is there and nobody sends it.
    ///
    /// Once more with the same lease, it is as the first time.
    ///
    /// # Errors
    ///
    /// [`Error::OutcomeUnknown`]: call again with the same lease.
    async fn begin_call(&self, call: &NewCall, lease: &CallLease, length: Duration) -> Result<BegunCall, Error>;

    /// Takes up a call that is there, for its lease's length. `None`: it is not there, or somebody sends it.
    ///
    /// # Errors
    ///
    /// A failed write: call again; what was taken lapses.
    async fn take_call(&self, lease: &CallLease, length: Duration) -> Result<Option<TakenCall>, Error>;

    /// Gives a sign of life: the right lasts so long from now. `false`: somebody has taken the call over.
    ///
    /// # Errors
    ///
    /// A failed write: do not send before it has succeeded.
    async fn renew_call(&self, lease: &CallLease, length: Duration) -> Result<bool, Error>;

    /// Lets go of a call whose outcome is not known: anybody may take it up at once. `false`: it was lost before.
    ///
    /// # Errors
    ///
    /// A failed write: the lease lapses by itself.
    async fn let_go_of_call(&self, lease: &CallLease) -> Result<bool, Error>;

    /// Removes a call whose outcome is known. `false`: it is gone, or somebody has taken it over.
    ///
    /// # Errors
    ///
    /// A failed write: call again.
    async fn resolve_call(&self, lease: &CallLease) -> Result<bool, Error>;

    /// Removes a call, whoever sends it. `false`: there is none.
    ///
    /// # Errors
    ///
    /// A failed write: call again.
    async fn forget_call(&self, name: &CallName) -> Result<bool, Error>;

    /// Lists calls, the oldest first.
    ///
    /// # Errors
    ///
    /// A failed read.
    async fn pending_calls(&self, query: &CallQuery) -> Result<Vec<PendingCall>, Error>;
}

#[async_trait]
impl<K: KeyStore + ?Sized> KeyStore for Arc<K> {
    async fn begin_call(&self, call: &NewCall, lease: &CallLease, length: Duration) -> Result<BegunCall, Error> {
        (**self).begin_call(call, lease, length).await
    }

    async fn take_call(&self, lease: &CallLease, length: Duration) -> Result<Option<TakenCall>, Error> {
        (**self).take_call(lease, length).await
    }

    async fn renew_call(&self, lease: &CallLease, length: Duration) -> Result<bool, Error> {
        (**self).renew_call(lease, length).await
    }

    async fn let_go_of_call(&self, lease: &CallLease) -> Result<bool, Error> {
        (**self).let_go_of_call(lease).await
    }

    async fn resolve_call(&self, lease: &CallLease) -> Result<bool, Error> {
        (**self).resolve_call(lease).await
    }

    async fn forget_call(&self, name: &CallName) -> Result<bool, Error> {
        (**self).forget_call(name).await
    }

    async fn pending_calls(&self, query: &CallQuery) -> Result<Vec<PendingCall>, Error> {
        (**self).pending_calls(query).await
    }
}
