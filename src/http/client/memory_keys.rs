//! Calls kept in memory.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use crate::store::{
    BegunCall, CallLease, CallName, CallQuery, Clock, Error, Fault, KeyStore, NewCall, PendingCall, SystemClock,
    TakenCall, check_lease,
};

/// Keeps calls in memory, and forgets them with the process.
///
/// For tests and small tools.
/// What was sent and not answered when the process ends can then not be asked about. Up to 10,000 calls.
pub struct MemoryKeys {
    calls: Mutex<BTreeMap<(Arc<str>, String), Kept>>,
    clock: Arc<dyn Clock>,
}

/// The most calls at once.
const MOST_CALLS: usize = 10_000;

struct Kept {
    call: NewCall,
    created_at: DateTime<Utc>,
    takes: u32,
    held: Option<(Uuid, DateTime<Utc>)>,
}

impl MemoryKeys {
    /// Makes an empty one, by the machine's clock.
    #[must_use]
    pub fn new() -> Self {
        Self::with_clock(SystemClock)
    }

    /// Makes an empty one, by a clock that tells when leases lapse.
    #[must_use]
    pub fn with_clock(clock: impl Clock + 'static) -> Self {
        Self { calls: Mutex::default(), clock: Arc::new(clock) }
    }

    fn calls(&self) -> MutexGuard<'_, BTreeMap<(Arc<str>, String), Kept>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn place(name: &CallName) -> (Arc<str>, String) {
    (Arc::clone(&name.client), name.key.as_str().to_owned())
}

impl Kept {
    /// Whether somebody else than the holder of a lease sends it.
    fn is_in_hand(&self, lease: &CallLease, now: DateTime<Utc>) -> bool {
        self.held.is_some_and(|(holder, lapses_at)| holder != lease.holder && lapses_at > now)
    }

    fn take(&mut self, lease: &CallLease, length: Duration, now: DateTime<Utc>) {
        self.takes += u32::from(self.held.is_none_or(|(holder, _)| holder != lease.holder));
        self.held = Some((lease.holder, lapses_at(now, length)));
    }

    fn pending(&self, now: DateTime<Utc>) -> PendingCall {
        let left = self.held.map(|(_, lapses_at)| span(now, lapses_at));
        PendingCall {
            name: self.call.name.clone(),
            method: self.call.request.method.clone(),
            url: self.call.request.uri.clone(),
            created_at: self.created_at,
            age: span(self.created_at, now),
            takes: self.takes,
            lease_left: left.unwrap_or_default(),
        }
    }
}

fn lapses_at(now: DateTime<Utc>, length: Duration) -> DateTime<Utc> {
    let end = TimeDelta::from_std(length).ok().and_then(|length| now.checked_add_signed(length));
    end.unwrap_or(DateTime::<Utc>::MAX_UTC)
}

fn span(from: DateTime<Utc>, to: DateTime<Utc>) -> Duration {
    to.signed_duration_since(from).to_std().unwrap_or_default()
}

#[async_trait]
impl KeyStore for MemoryKeys {
    async fn begin_call(&self, call: &NewCall, lease: &CallLease, length: Duration) -> Result<BegunCall, Error> {
        call.check(length)?;
        let (now, mut calls) = (self.clock.now_in_micros(), self.calls());
        if let Some(kept) = calls.get_mut(&place(&call.name)) {
            if kept.call.fingerprint != call.fingerprint {
                return Ok(BegunCall::OtherRequest);
            }
            if kept.is_in_hand(lease, now) {
                return Ok(BegunCall::InHand { lease_left: kept.pending(now).lease_left });
            }
            kept.take(lease, length, now);
            return Ok(if kept.takes == 1 { BegunCall::New } else { BegunCall::Again(kept.pending(now)) });
        }
        if calls.len() >= MOST_CALLS {
            let detail = Some(format!("there are {MOST_CALLS} calls without an answer"));
            return Err(Error::Backend { fault: Fault::Full, detail, source: None });
        }
        let held = Some((lease.holder, lapses_at(now, length)));
        calls.insert(place(&call.name), Kept { call: call.clone(), created_at: now, takes: 1, held });
        Ok(BegunCall::New)
    }

    async fn take_call(&self, lease: &CallLease, length: Duration) -> Result<Option<TakenCall>, Error> {
        check_lease(length)?;
        let (now, mut calls) = (self.clock.now_in_micros(), self.calls());
        let free = calls.get_mut(&place(&lease.name)).filter(|kept| !kept.is_in_hand(lease, now));
        Ok(free.map(|kept| {
            kept.take(lease, length, now);
            TakenCall { pending: kept.pending(now), request: kept.call.request.clone() }
        }))
    }

    async fn renew_call(&self, lease: &CallLease, length: Duration) -> Result<bool, Error> {
        check_lease(length)?;
        let (now, mut calls) = (self.clock.now_in_micros(), self.calls());
        let held = calls.get_mut(&place(&lease.name)).and_then(|kept| kept.held.as_mut());
        let held = held.filter(|(holder, _)| *holder == lease.holder);
        Ok(held.map(|held| held.1 = lapses_at(now, length)).is_some())
    }

    async fn let_go_of_call(&self, lease: &CallLease) -> Result<bool, Error> {
        let mut calls = self.calls();
        let kept = calls.get_mut(&place(&lease.name));
        let kept = kept.filter(|kept| kept.held.is_some_and(|(holder, _)| holder == lease.holder));
        Ok(kept.map(|kept| kept.held = None).is_some())
    }

    async fn resolve_call(&self, lease: &CallLease) -> Result<bool, Error> {
        let (mut calls, place) = (self.calls(), place(&lease.name));
        let is_held = calls.get(&place).is_some_and(|kept| kept.held.is_some_and(|(holder, _)| holder == lease.holder));
        Ok(is_held && calls.remove(&place).is_some())
    }

    async fn forget_call(&self, name: &CallName) -> Result<bool, Error> {
        name.check()?;
        Ok(self.calls().remove(&place(name)).is_some())
    }

    async fn pending_calls(&self, query: &CallQuery) -> Result<Vec<PendingCall>, Error> {
        query.check()?;
        let (now, calls) = (self.clock.now_in_micros(), self.calls());
        let mut found: Vec<_> = calls.values().filter(|kept| kept.call.name.client == query.client).collect();
        found.sort_by_key(|kept| (kept.created_at, kept.call.name.key.as_str()));
        let after = query.after.as_ref().map(|(at, key)| (*at, key.as_str()));
        let behind = found.into_iter().filter(|kept| Some((kept.created_at, kept.call.name.key.as_str())) > after);
        Ok(behind.take(query.limit as usize).map(|kept| kept.pending(now)).collect())
    }
}

impl Default for MemoryKeys {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryKeys").field("calls", &self.calls().len()).finish_non_exhaustive()
    }
}
