//! A store that fails the way networks and databases do, from a seed.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use uuid::Uuid;

use super::mishap::{Mishap, Rates};
use crate::store::{
    Append, Appended, Error, EventStore, IdempotencyKey, LoadQuery, LoadVisitor, LogQuery, LogRead, Position, Receipt,
    SnapshotRef, StreamQuery, StreamRead, Visit,
};

/// Wraps a store and injects faults.
///
/// Lost replies, late writes, conflicts, outages. For tests of services.
///
/// Transactions are not offered: what a service does in `begin()` is tested on the store itself.
///
/// Every fault is one a sound store can commit, so whoever keeps to the store's contract must survive all of them.
/// Without rates and scripts a `Faulty` does what the store inside does. Rates are per append, from 0 (never) to 1
/// (always), 0 by default; an append meets one fault at the most. The same seed and the same order of calls give the
/// same faults.
///
/// Clones share the store, the dice, the script and the count; rates are each clone's own, so a calm clone can look at
/// what happened.
///
/// ```
/// # use annals::Aggregate;
/// # use serde::{Deserialize, Serialize};
/// # #[derive(Debug, Default)] struct Counter(u64);
/// # #[derive(Debug, Serialize)] enum Command { Add(u64) }
/// # #[derive(Debug, PartialEq, Serialize, Deserialize)]
/// # #[serde(tag = "type", content = "data", rename_all = "kebab-case")]
/// # enum Event { Added { by: u64 } }
/// # #[derive(Debug, PartialEq, Serialize, Deserialize, thiserror::Error)]
/// # enum Rejection { #[error("adding nothing is not worth an event")] Nothing }
/// # impl Aggregate for Counter {
/// #     const TYPE: &'static str = "counter";
/// #     type Command = Command; type Event = Event; type Rejection = Rejection;
/// #     fn decide(&self, Command::Add(by): &Command) -> Result<Vec<Event>, Rejection> {
/// #         if *by == 0 { Err(Rejection::Nothing) } else { Ok(vec![Event::Added { by: *by }]) }
/// #     }
/// #     fn evolve(&mut self, Event::Added { by }: &Event) { self.0 += by; }
/// # }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use annals::{Id, IdempotencyKey, Repository, SqliteStore, testing::Faulty};
///
/// // One reply in three is lost after the commit.
/// let store = Faulty::new(SqliteStore::open_in_memory().await?, 7).lost_replies(0.3);
/// let counters = Repository::<Counter>::new(&store);
/// let id = Id::new();
/// for request in 0..20 {
///     let key = IdempotencyKey::new(format!("request-{request}"))?;
///     counters.execute(id, &Command::Add(1)).idempotency_key(key).await?;
/// }
/// assert!(store.faults() > 0);
/// assert_eq!(counters.load(id).await?.state.0, 20, "every command was carried out once");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Faulty<S> {
    store: S,
    rates: Rates,
    shared: Arc<Mutex<Shared>>,
}

/// What clones have in common.
struct Shared {
    dice: fastrand::Rng,
    script: VecDeque<Mishap>,
    /// Late writes, the oldest first, each with the number of the call that brought it.
    held: VecDeque<(u64, Append)>,
    /// The command ids of calls under way.
    under_way: Vec<Uuid>,
    calls: u64,
    faults: u64,
}

/// The most late writes held back; beyond that the oldest is lost, as a request can be.
const MAX_HELD: usize = 1_000;

/// Said in the source of every injected error that has one.
#[derive(Debug, thiserror::Error)]
#[error("injected by a test")]
struct Injected;

impl<S> Faulty<S> {
    /// Wraps a store. No fault is injected until a rate or a script says so.
    pub fn new(store: S, seed: u64) -> Self {
        let shared = Shared {
            dice: fastrand::Rng::with_seed(seed),
            script: VecDeque::new(),
            held: VecDeque::new(),
            under_way: Vec::new(),
            calls: 0,
            faults: 0,
        };
        Self { store, rates: Rates::default(), shared: Arc::new(Mutex::new(shared)) }
    }

    /// Loses replies.
    ///
    /// The append reaches the store, but the answer is [`Error::OutcomeUnknown`].
    ///
    /// # Panics
    ///
    /// Where the rate is not between 0 and 1, or all rates together exceed 1.
    #[must_use]
    #[track_caller]
    pub fn lost_replies(mut self, rate: f64) -> Self {
        self.rates.lost_replies = rate;
        self.checked()
    }

    /// Loses requests: nothing is written, and the answer is [`Error::OutcomeUnknown`].
    ///
    /// # Panics
    ///
    /// Where the rate is not between 0 and 1, or all rates together exceed 1.
    #[must_use]
    #[track_caller]
    pub fn lost_requests(mut self, rate: f64) -> Self {
        self.rates.lost_requests = rate;
        self.checked()
    }

    /// Delays writes.
    ///
    /// The answer is [`Error::OutcomeUnknown`], and the append reaches the store only later.
    ///
    /// It does so right after the next append call for the same aggregate was carried out, or on
    /// [`flush`](Self::flush): as a first attempt behind a cut connection can commit after its own retry.
    ///
    /// # Panics
    ///
    /// Where the rate is not between 0 and 1, or all rates together exceed 1.
    #[must_use]
    #[track_caller]
    pub fn late_writes(mut self, rate: f64) -> Self {
        self.rates.late_writes = rate;
        self.checked()
    }

    /// Answers [`Error::Conflict`] and writes nothing, as if another had been faster.
    ///
    /// Only where a sound store could: the append names a version, that version holds, and no attempt of the same
    /// append was written before or still may be. Other appends go through.
    ///
    /// # Panics
    ///
    /// Where the rate is not between 0 and 1, or all rates together exceed 1.
    #[must_use]
    #[track_caller]
    pub fn conflicts(mut self, rate: f64) -> Self {
        self.rates.conflicts = rate;
        self.checked()
    }

    /// Answers [`Error::Contention`] and writes nothing.
    ///
    /// # Panics
    ///
    /// Where the rate is not between 0 and 1, or all rates together exceed 1.
    #[must_use]
    #[track_caller]
    pub fn contention(mut self, rate: f64) -> Self {
        self.rates.contention = rate;
        self.checked()
    }

    /// Answers [`Error::Unavailable`], to reads as well, and does nothing.
    ///
    /// # Panics
    ///
    /// Where the rate is not between 0 and 1, or all rates together exceed 1.
    #[must_use]
    #[track_caller]
    pub fn outages(mut self, rate: f64) -> Self {
        self.rates.outages = rate;
        self.checked()
    }

    /// Loses the reply to the next append, once.
    ///
    /// Scripted faults come before the dice, in their order.
    pub fn lose_next_reply(&self) {
        self.shared().script.push_back(Mishap::LostReply);
    }

    /// Loses the request of the next append, once.
    pub fn lose_next_request(&self) {
        self.shared().script.push_back(Mishap::LostRequest);
    }

    /// Delays the write of the next append, once.
    ///
    /// See [`late_writes`](Self::late_writes).
    pub fn delay_next_write(&self) {
        self.shared().script.push_back(Mishap::LateWrite);
    }

    /// Answers the next append with this error, whatever it is, and writes nothing.
    pub fn fail_next(&self, error: Error) {
        self.shared().script.push_back(Mishap::Refused(error));
    }

    /// How many faults were injected so far.
    #[must_use]
    pub fn faults(&self) -> u64 {
        self.shared().faults
    }

    /// How many late writes are held back now.
    #[must_use]
    pub fn held_back(&self) -> usize {
        self.shared().held.len()
    }

    #[track_caller]
    fn checked(self) -> Self {
        self.rates.check();
        self
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Throws the dice for a read.
    fn reach(&self) -> Result<(), Error> {
        let mut shared = self.shared();
        if shared.dice.f64() < self.rates.outages {
            shared.faults += 1;
            return Err(Error::unavailable(Injected));
        }
        Ok(())
    }

    /// Begins a call: decides what befalls each append, in one step, so that the order of calls decides alone.
    fn begin(&self, batch: &[Append]) -> Call {
        let mut shared = self.shared();
        shared.calls += 1;
        let number = shared.calls;
        let mishaps: Vec<_> =
            batch.iter().map(|_| shared.script.pop_front().or_else(|| self.rates.mishap(shared.dice.f64()))).collect();
        for (append, mishap) in batch.iter().zip(&mishaps) {
            if matches!(mishap, Some(Mishap::LateWrite)) {
                shared.held.push_back((number, append.clone()));
            }
        }
        let beyond = shared.held.len().saturating_sub(MAX_HELD);
        shared.held.drain(..beyond);
        Call { number, mishaps, _under_way: shared.under_way(batch, &self.shared) }
    }
}

impl<S: EventStore> Faulty<S> {
    /// Writes all that is still held back, the oldest first.
    pub async fn flush(&self) {
        self.deliver(|_, _| true).await;
    }

    /// Hands late writes to the store. Nobody waits for their answers any more.
    async fn deliver(&self, is_due: impl Fn(u64, &Append) -> bool + Send) {
        let (due, _under_way) = {
            let mut shared = self.shared();
            let all = shared.held.drain(..);
            let (due, held): (Vec<_>, Vec<_>) = all.partition(|(call, append)| is_due(*call, append));
            shared.held.extend(held);
            let due: Vec<Append> = due.into_iter().map(|(_, append)| append).collect();
            let under_way = shared.under_way(&due, &self.shared);
            (due, under_way)
        };
        if !due.is_empty() {
            self.store.append(due).await;
        }
    }

    /// Answers an append that does not reach the store; `None` where it does.
    async fn refuse(&self, append: &Append, mishap: &Mishap) -> Option<Error> {
        match mishap {
            Mishap::LostReply => None,
            Mishap::LostRequest | Mishap::LateWrite => Some(Error::outcome_unknown(Injected)),
            Mishap::Contention => Some(Error::contention(Injected)),
            Mishap::Outage => Some(Error::unavailable(Injected)),
            Mishap::Refused(error) => Some(error.clone()),
            Mishap::Conflict => self.conflict(append).await,
        }
    }

    /// A conflict that a sound store could answer with; `None` where it could not.
    async fn conflict(&self, append: &Append) -> Option<Error> {
        let version = append.expected.named()?;
        if self.shared().may_be_written_meanwhile(append.command_id) {
            return None;
        }
        let mut query = StreamQuery::of(append.aggregate_id).from_sequence(version.saturating_add(1)).limit(1);
        query.receipt_of = append.key.as_ref().map(|request| request.key.clone());
        let read = self.store.read_stream(&query, &mut |_| Ok(())).await.ok()?;
        // Where the version does not hold the store itself knows whether it is a conflict or a replay.
        (read.version == version && read.receipt.is_none()).then(|| Error::Conflict {
            aggregate: append.aggregate(),
            expected: append.expected,
            actual: version.saturating_add(1),
        })
    }
}

#[async_trait]
impl<S: EventStore> EventStore for Faulty<S> {
    async fn append(&self, batch: Vec<Append>) -> Vec<Result<Appended, Error>> {
        let call = self.begin(&batch);
        let aggregates: Vec<Uuid> = batch.iter().map(|append| append.aggregate_id).collect();
        let (mut answers, mut sent) = (Vec::with_capacity(batch.len()), Vec::with_capacity(batch.len()));
        for (append, mishap) in batch.into_iter().zip(&call.mishaps) {
            let refused = match mishap {
                Some(mishap) => self.refuse(&append, mishap).await,
                None => None,
            };
            if refused.is_none() {
                sent.push(append);
            }
            answers.push(refused);
        }
        let mut written = if sent.is_empty() { Vec::new() } else { self.store.append(sent).await }.into_iter();
        let mut faults = 0;
        let answers = answers
            .into_iter()
            .zip(&call.mishaps)
            .map(|(refused, mishap)| {
                let answer = match refused {
                    Some(error) => Err(error),
                    None => match (written.next().unwrap_or(Err(Error::OutcomeUnknown { source: None })), mishap) {
                        // What never left the process has no reply to lose, and a conflict that was not to be is none.
                        (answer @ Err(Error::Invalid { .. }), _) | (answer, None | Some(Mishap::Conflict)) => {
                            return answer;
                        }
                        _ => Err(Error::outcome_unknown(Injected)),
                    },
                };
                faults += 1;
                answer
            })
            .collect();
        self.shared().faults += faults;
        self.deliver(|held_by, late| held_by < call.number && aggregates.contains(&late.aggregate_id)).await;
        answers
    }

    async fn read_stream(&self, query: &StreamQuery, visit: Visit<'_>) -> Result<StreamRead, Error> {
        self.reach()?;
        self.store.read_stream(query, visit).await
    }

    async fn load(&self, query: &LoadQuery, visitor: &mut dyn LoadVisitor) -> Result<StreamRead, Error> {
        self.reach()?;
        self.store.load(query, visitor).await
    }

    async fn save_snapshot(&self, snapshot: SnapshotRef<'_>) -> Result<(), Error> {
        self.reach()?;
        self.store.save_snapshot(snapshot).await
    }

    async fn read_log(&self, query: &LogQuery, visit: Visit<'_>) -> Result<LogRead, Error> {
        self.reach()?;
        self.store.read_log(query, visit).await
    }

    async fn receipt(&self, aggregate_id: Uuid, key: &IdempotencyKey) -> Result<Option<Receipt>, Error> {
        self.reach()?;
        self.store.receipt(aggregate_id, key).await
    }

    async fn head(&self) -> Result<Position, Error> {
        self.reach()?;
        self.store.head().await
    }

    async fn wait_for(&self, after: Position) -> Result<Position, Error> {
        self.reach()?;
        self.store.wait_for(after).await
    }
}

impl Shared {
    /// Registers appends as under way, until the guard falls.
    fn under_way(&mut self, batch: &[Append], shared: &Arc<Mutex<Self>>) -> UnderWay {
        let command_ids: Vec<Uuid> = batch.iter().map(|append| append.command_id).collect();
        self.under_way.extend(&command_ids);
        UnderWay { command_ids, shared: Arc::clone(shared) }
    }

    /// Whether another call, or a late write, may write this append while it is answered.
    fn may_be_written_meanwhile(&self, command_id: Uuid) -> bool {
        self.held.iter().any(|(_, late)| late.command_id == command_id)
            || self.under_way.iter().filter(|under_way| **under_way == command_id).nth(1).is_some()
    }
}

/// A call of [`EventStore::append`].
struct Call {
    number: u64,
    mishaps: Vec<Option<Mishap>>,
    _under_way: UnderWay,
}

/// Keeps the command ids of a call registered for as long as it runs, also where it is dropped half-way.
struct UnderWay {
    command_ids: Vec<Uuid>,
    shared: Arc<Mutex<Shared>>,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        for command_id in &self.command_ids {
            if let Some(at) = shared.under_way.iter().position(|under_way| under_way == command_id) {
                shared.under_way.swap_remove(at);
            }
        }
    }
}

impl<S: fmt::Debug> fmt::Debug for Faulty<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (faults, held_back) = (self.faults(), self.held_back());
        f.debug_struct("Faulty")
            .field("store", &self.store)
            .field("rates", &self.rates)
            .field("faults", &faults)
            .field("held_back", &held_back)
            .finish_non_exhaustive()
    }
}
