//! What became of the steps of a request or process.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use uuid::Uuid;

use super::Error;

/// Says how far a step has come. It only ever goes forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum StepState {
    /// It was begun; whether anything has happened is not known.
    Begun,
    /// It is done, and has its result.
    Done,
    /// It was refused for good, and has had no effect.
    Refused,
    /// It is being undone; whether that has happened is not known.
    Undoing,
    /// It is undone; or was, before it could be done.
    Undone,
}

impl StepState {
    /// The number that is stored.
    #[must_use]
    pub const fn number(self) -> i16 {
        match self {
            Self::Begun => 0,
            Self::Done => 1,
            Self::Refused => 2,
            Self::Undoing => 3,
            Self::Undone => 4,
        }
    }

    /// Finds a state by its number.
    #[must_use]
    pub fn from_number(number: i16) -> Option<Self> {
        [Self::Begun, Self::Done, Self::Refused, Self::Undoing, Self::Undone]
            .into_iter()
            .find(|state| state.number() == number)
    }

    /// Tells whether a step may go from this state to another.
    ///
    /// Forward, and never from one end to the other.
    #[must_use]
    pub fn may_become(self, next: Self) -> bool {
        self < next && self != Self::Refused && !(self == Self::Done && next == Self::Refused)
    }
}

/// A step as it stands.
#[derive(Clone, PartialEq, Eq)]
pub struct StepRecord {
    /// Its name, within its run.
    pub name: String,
    /// In which order steps were begun, from 1.
    pub ordinal: u32,
    /// How far it has come.
    pub state: StepState,
    /// Its result, or why it was refused, as JSON.
    pub result: Option<Arc<str>>,
}

impl fmt::Debug for StepRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StepRecord({} {:?})", self.name, self.state)
    }
}

/// A run of steps in the hands of whoever has this fence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepRun {
    /// Names the run.
    pub run_id: Uuid,
    /// Whoever has a lower one than a step was last written with writes nothing.
    pub fence: u64,
    /// How long steps are kept after they were last written; `None`: for ever.
    pub keep_for: Option<Duration>,
}

/// Keeps what became of steps. Object-safe.
#[async_trait]
pub trait StepStore: fmt::Debug + Send + Sync {
    /// Reads the steps of a run in their order, and shuts out whoever had a lower fence. `None`: there is a higher one.
    ///
    /// # Errors
    ///
    /// A failed write: call again.
    async fn open_steps(&self, run: &StepRun) -> Result<Option<Vec<StepRecord>>, Error>;

    /// Moves a step forward, or makes it; says how it stands then, which is how it stood if it cannot go that way.
    ///
    /// `None`: somebody has opened the run with a higher fence.
    ///
    /// # Errors
    ///
    /// [`Error::OutcomeUnknown`]: call again; the same record once more changes nothing.
    async fn write_step(&self, run: &StepRun, step: &StepRecord) -> Result<Option<StepRecord>, Error>;
}

#[async_trait]
impl<S: StepStore + ?Sized> StepStore for Arc<S> {
    async fn open_steps(&self, run: &StepRun) -> Result<Option<Vec<StepRecord>>, Error> {
        (**self).open_steps(run).await
    }

    async fn write_step(&self, run: &StepRun, step: &StepRecord) -> Result<Option<StepRecord>, Error> {
        (**self).write_step(run, step).await
    }
}
