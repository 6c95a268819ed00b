//! The stored answers to requests, and who is at work on them.

use std::{fmt, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{Fingerprint, IdempotencyKey, Scope, ScopedKey};

/// Asks for the right to carry a request out.
#[derive(Debug, Clone)]
pub struct ResponseClaim {
    /// The client's key, and whose it is.
    pub key: ScopedKey,
    /// What the client asked for.
    pub fingerprint: Fingerprint,
    /// By which recipe the fingerprint was made.
    pub recipe: u16,
    /// How long the right lasts unless it is renewed: 1 ms to 24 h.
    pub lease: Duration,
    /// How long the row is kept where nobody comes back: 1 ms to ten years.
    ///
    /// It counts from the end of the lease.
    pub keep_for: Duration,
    /// How often a request is begun at the most, the first time included.
    ///
    /// A request that kills each process that begins it is not begun for ever.
    pub attempts: u32,
    /// How many keys a scope's principal may have at once; `None`: any number.
    ///
    /// Those at all its endpoints count together: paths that are made up give it no more. Those that have expired do not
    /// count. Claims that come at the same moment may get a few beyond it.
    pub scope_keys: Option<u32>,
    /// The request, where somebody else is to finish it if it is abandoned.
    pub request: Option<StoredRequest>,
}

/// A request as it came in, kept for whoever finishes it.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredRequest {
    /// The method.
    pub method: String,
    /// Path and query, as the client sent them.
    pub uri: String,
    /// The headers that are kept, in their order.
    pub headers: Vec<(String, Arc<[u8]>)>,
    /// The body.
    pub body: Arc<[u8]>,
}

impl fmt::Debug for StoredRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoredRequest({} {} bytes)", self.method, self.body.len())
    }
}

/// Says what became of a claim.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum ClaimedResponse {
    /// The caller carries the request out.
    Mine(ResponseLease),
    /// Somebody is at work on it, or was and is gone.
    ///
    /// Also where the lease has lapsed but the request was another one.
    Running(RunningResponse),
    /// It has an answer.
    Finished(Arc<FinishedResponse>),
    /// The scope has as many keys as it may have.
    TooManyKeys,
}

/// The right to carry a request out, for as long as its fence stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResponseLease {
    /// The client's key, and whose it is.
    pub key: ScopedKey,
    /// Rises with each claim; never given twice.
    pub fence: u64,
    /// Names the execution, over all its attempts; a key that is used anew has another.
    pub run_id: Uuid,
    /// Which attempt this is, from 1. Attempts that were let go of do not count.
    pub attempt: u32,
    /// Nobody has begun this execution before: there are no steps of it.
    ///
    /// Not the same as the first attempt that counts.
    pub is_new_run: bool,
    /// How long the right lasts from each renewal on.
    pub length: Duration,
}

/// A request that is being carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunningResponse {
    /// What was asked for.
    pub fingerprint: Fingerprint,
    /// By which recipe the fingerprint was made.
    pub recipe: u16,
    /// The fence of whoever is at work.
    pub fence: u64,
    /// Which attempt it is.
    pub attempt: u32,
    /// How long the lease lasts still; zero: it has lapsed.
    pub lease_left: Duration,
}

/// A request that has its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FinishedResponse {
    /// What was asked for.
    pub fingerprint: Fingerprint,
    /// By which recipe the fingerprint was made.
    pub recipe: u16,
    /// The fence of whoever has answered.
    pub fence: u64,
    /// The answer was given up after too many attempts.
    pub is_dead: bool,
    /// The answer.
    pub response: StoredResponse,
    /// How long it is kept still.
    pub left: Duration,
}

/// An answer, as it is replayed.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredResponse {
    /// The status: 100 to 999.
    pub status: u16,
    /// The headers, in their order.
    pub headers: Vec<(String, Arc<[u8]>)>,
    /// The body, or what stands for it.
    pub body: StoredBody,
}

/// The body of a stored answer.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoredBody {
    /// All of it.
    Whole(Arc<[u8]>),
    /// It was too large, or had no end in sight: the request was carried out, but its answer cannot be given again.
    Tombstone,
    /// What to make the body from, when it is asked for again: such as the id of an object.
    Reference(Arc<str>),
}

impl StoredResponse {
    /// The most bytes of all headers, with their names.
    pub const MAX_HEADER_BYTES: usize = 256 << 10;

    /// The most bytes of a reference.
    pub const MAX_REFERENCE_BYTES: usize = 2000;
}

impl fmt::Debug for StoredResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredResponse").field("status", &self.status).field("body", &self.body).finish_non_exhaustive()
    }
}

impl fmt::Debug for StoredBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(body) => write!(f, "Whole({} bytes)", body.len()),
            Self::Tombstone => f.write_str("Tombstone"),
            Self::Reference(reference) => write!(f, "Reference({} bytes)", reference.len()),
        }
    }
}

/// How a claim is let go of without an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LetGo {
    /// Nothing has happened: the key is free again, also for another request.
    Free,
    /// Something may have happened, or steps were recorded: the same request may take over at once, and no other.
    Resume,
}

/// A stored answer, or a request at work, as an operator sees it. Without bodies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResponseRow {
    /// The client's key, and whose it is.
    pub key: ScopedKey,
    /// How it stands.
    pub state: ResponseState,
    /// The fence of whoever is or was at work.
    pub fence: u64,
    /// Names the execution.
    pub run_id: Uuid,
    /// How often it was begun.
    pub attempts: u32,
    /// When it was first begun.
    pub created_at: DateTime<Utc>,
    /// Until when it is leased; `None`: it is finished.
    pub lease_expires_at: Option<DateTime<Utc>>,
    /// The status of the answer, where there is one.
    pub status: Option<u16>,
    /// When it may be forgotten.
    pub expires_at: DateTime<Utc>,
    /// What an operator last did to it, by whom, and when.
    pub operation: Option<Operation>,
}

/// How a request under a key stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ResponseState {
    /// Somebody is at work on it, or was.
    Running,
    /// It has its answer.
    Completed,
    /// It was given up after too many attempts.
    Dead,
}

impl ResponseState {
    /// The word that is stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Dead => "dead",
        }
    }

    /// Finds a state by its word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Running, Self::Completed, Self::Dead].into_iter().find(|state| state.as_str() == word)
    }
}

/// What an operator did to a row, kept beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// What was done: `expire`, `release` or `revive`.
    pub name: String,
    /// By whom: 1 to 200 bytes.
    pub operator: String,
    /// When.
    pub at: DateTime<Utc>,
}

/// Which rows an operator wants to see, by scope and key.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ResponseQuery {
    /// Of this scope alone.
    pub scope: Option<Scope>,
    /// In this state alone.
    pub state: Option<ResponseState>,
    /// Behind this key; `None`: from the beginning.
    pub after: Option<ScopedKey>,
    /// How many: 1 to 10,000.
    pub limit: u32,
}

/// What an operator can do to a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ResponseAction {
    /// Ends a finished answer's time: the key is free, and the next request under it is carried out.
    Expire,
    /// Ends the lease of whoever is at work, whose answer then counts no more: the same request may take over at once.
    Release,
    /// Lets a request that was given up be tried anew, with all its attempts.
    Revive,
}

impl ResponseAction {
    /// The word that is stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Expire => "expire",
            Self::Release => "release",
            Self::Revive => "revive",
        }
    }
}

/// A request to be finished without its client: its lease has lapsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AbandonedRequest {
    /// The client's key, and whose it is.
    pub scope: Scope,
    /// The client's key.
    pub key: IdempotencyKey,
    /// What was asked for.
    pub fingerprint: Fingerprint,
    /// By which recipe the fingerprint was made.
    pub recipe: u16,
    /// How often it was begun.
    pub attempts: u32,
    /// The request.
    pub request: StoredRequest,
}
