//! Steps: calls of other services that a run makes once, however often it is begun.

mod book;
mod compensation;
mod error;
mod failure;
mod kept;
mod run_step;

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use uuid::Uuid;

pub(super) use self::run_step::in_time;
use self::{book::Book, compensation::Undoing};
pub use self::{
    compensation::Undo,
    error::{StepError, StepRefusal},
    failure::StepFailure,
    run_step::{RunStep, Undoable},
};
use super::patience::Pauses;
use crate::store::{IdempotencyKey, StepRun, StepStore};

/// The steps of one run: of a request under its key, or of a process.
///
/// A handler that calls other services can be killed between a call and its answer, and is then begun again. Each call is
/// made a step: it has a name, a key that every attempt hands to the service called, and a result that is recorded and is
/// a recovery point. The next attempt runs the same code from the top, gets the results of the steps that are done without
/// a call, and repeats the one whose outcome is unknown with the same key.
///
/// ```
/// # use std::sync::Arc;
/// # use annals::{IdempotencyKey, process::{StepError, StepFailure, Steps, Undo}};
/// # #[derive(Clone)] struct Warehouse;
/// # impl Warehouse {
/// #     async fn reserve(&self, _: IdempotencyKey, _: &str) -> Result<u64, std::io::Error> { Ok(1) }
/// #     async fn cancel(&self, _: Undo<u64>) -> Result<(), std::io::Error> { Ok(()) }
/// # }
/// # #[derive(Clone)] struct Bank;
/// # enum Paid { Charge(String), Declined(String) }
/// # impl Bank { async fn charge(&self, _: IdempotencyKey) -> Result<Paid, std::io::Error> { Ok(Paid::Declined(String::new())) } }
/// # async fn handler(steps: Steps, warehouse: Warehouse, bank: Bank, order: &str) -> Result<String, StepError> {
/// let (undoing, warehouse, bank) = (warehouse.clone(), &warehouse, &bank);
/// let reservation: u64 = steps
///     .step("reserve")
///     .undo(move |undo: Undo<u64>| {
///         let warehouse = undoing.clone();
///         async move { Ok(warehouse.cancel(undo).await?) }
///     })
///     .attempts(3)
///     .run(|key| async move { Ok(warehouse.reserve(key, order).await?) }) // `?`: whether it has happened is not known
///     .await?;
/// let charged = steps.step("charge").run(|key| async move {
///     match bank.charge(key).await? {
///         Paid::Charge(id) => Ok(id),
///         Paid::Declined(why) => Err(StepFailure::refused(why)), // for good: recorded
///     }
/// });
/// match charged.await {
///     Err(error) if error.is_final() => {
///         steps.compensate().await?;
///         Ok("declined".to_owned())
///     }
///     charged => charged,
/// }
/// # }
/// ```
///
/// # What it costs and what it gives
///
/// A step is written before it is called and after it: two writes. Nothing is read in the first attempt; a later one reads all
/// steps once, and thereby shuts out whoever was at work before. Every write bears the run's fence, so an attempt that was
/// thought dead calls no service and records nothing once another has taken over, except where it was held up between the
/// write and the call; then both call with one key. So a step has its effect once if the service called keeps the key.
///
/// The code has to come to the same steps with the same names, whatever the time or the weather: what a decision rests on is a
/// step of its own ([`RunStep::only_reads`]). Steps may run side by side.
///
/// Cheap to clone: a clone is the same run.
#[derive(Clone)]
pub struct Steps(Arc<Inner>);

struct Inner {
    book: Book,
    keys: Box<dyn Fn(&str) -> IdempotencyKey + Send + Sync>,
    undoings: Mutex<BTreeMap<String, (Undoing, Pauses)>>,
    compensation: tokio::sync::Mutex<()>,
}

impl Steps {
    /// The steps of a run that nobody has begun before: nothing is read.
    ///
    /// `keys` makes a key from a name, such as `step:reserve` or `undo:reserve`: always the same for the same run, never the
    /// same for two runs. [`ScopedKey::derived_key`](crate::store::ScopedKey::derived_key) is made for it.
    pub fn of_first_attempt(
        store: Arc<dyn StepStore>,
        run: StepRun,
        keys: impl Fn(&str) -> IdempotencyKey + Send + Sync + 'static,
    ) -> Self {
        Self::new(Book::new(store, run, true), keys)
    }

    /// The steps of a run that was begun before.
    ///
    /// What was done is read when the first step is taken.
    ///
    /// `keys` as in [`of_first_attempt`](Self::of_first_attempt).
    pub fn of_later_attempt(
        store: Arc<dyn StepStore>,
        run: StepRun,
        keys: impl Fn(&str) -> IdempotencyKey + Send + Sync + 'static,
    ) -> Self {
        Self::new(Book::new(store, run, false), keys)
    }

    fn new(book: Book, keys: impl Fn(&str) -> IdempotencyKey + Send + Sync + 'static) -> Self {
        Self(Arc::new(Inner {
            book,
            keys: Box::new(keys),
            undoings: Mutex::default(),
            compensation: tokio::sync::Mutex::default(),
        }))
    }

    /// Sets a step up. Its name stays: 1 to 200 bytes, used once in a run.
    pub fn step(&self, name: impl Into<String>) -> RunStep {
        RunStep::new(self.clone(), name.into())
    }

    /// Names the run.
    #[must_use]
    pub fn run_id(&self) -> Uuid {
        self.0.book.run().run_id
    }

    /// Whether any step may have had an effect, in this attempt or an earlier one.
    ///
    /// While that is so the run must be taken up again, or be undone; its key must not be given to another request.
    #[must_use]
    pub fn is_touched(&self) -> bool {
        self.0.book.is_touched()
    }

    /// Whether a compensation was begun, and is not at its end.
    ///
    /// As far as this attempt knows.
    ///
    /// An answer given then would be one to a run that is half undone: end the attempt without an answer instead.
    #[must_use]
    pub fn is_being_undone(&self) -> bool {
        self.0.book.is_being_undone()
    }

    fn book(&self) -> &Book {
        &self.0.book
    }

    fn compensation(&self) -> &tokio::sync::Mutex<()> {
        &self.0.compensation
    }

    fn action_key(&self, name: &str) -> IdempotencyKey {
        (self.0.keys)(&format!("step:{name}"))
    }

    fn undo_key(&self, name: &str) -> IdempotencyKey {
        (self.0.keys)(&format!("undo:{name}"))
    }

    fn register(&self, name: &str, undoing: Option<(Undoing, Pauses)>) -> Result<(), StepError> {
        self.book().use_name(name, undoing.is_some())?;
        if let Some(undoing) = undoing {
            self.0.undoings.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), undoing);
        }
        Ok(())
    }

    fn undoing(&self, name: &str) -> Option<(Undoing, Pauses)> {
        self.0.undoings.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }
}

impl fmt::Debug for Steps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Steps").field("run", self.0.book.run()).finish_non_exhaustive()
    }
}
