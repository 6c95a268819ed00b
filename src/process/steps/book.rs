//! What an attempt knows of the steps of its run, and how it is written down.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use backon::ExponentialBackoff;
use tokio::{sync::OnceCell, time::sleep};

use super::{
    StepError,
    kept::{Kept, Role},
};
use crate::{
    process::{patience::Pauses, telemetry},
    store::{Error, StepRecord, StepRun, StepState, StepStore},
};

/// The place of a step that nobody has begun, and that nobody is to begin any more.
pub(super) const NEVER: u32 = i32::MAX.unsigned_abs();

/// How often the store is asked before a step is given up.
const STORE_TRIES: u32 = 8;

/// The pauses between them; together a little over a second.
const STORE_PAUSES: Pauses = Pauses::new(Duration::from_millis(10), Duration::from_millis(500));

/// How far the compensation of this attempt has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compensation {
    No,
    /// Under way, or broken off.
    Begun,
    Finished,
}

#[derive(Debug)]
pub(super) struct Book {
    store: Arc<dyn StepStore>,
    run: StepRun,
    is_first: bool,
    opened: OnceCell<()>,
    pages: Mutex<Pages>,
}

#[derive(Debug)]
struct Pages {
    /// As they are stored, as far as is known; or are about to be.
    records: BTreeMap<String, StepRecord>,
    /// The names that this attempt has used.
    used: BTreeSet<String>,
    last_ordinal: u32,
    compensation: Compensation,
    /// An earlier attempt has begun to undo.
    is_given_up: bool,
    is_fenced: bool,
}

/// What to do about a step that is begun.
#[derive(Debug)]
pub(super) enum Begun {
    /// It has to be called.
    Call {
        record: StepRecord,
        /// It was begun before, so it may have happened.
        is_repeated: bool,
    },
    /// It has come to an end before.
    Known(StepRecord),
}

impl Book {
    pub(super) fn new(store: Arc<dyn StepStore>, run: StepRun, is_first: bool) -> Self {
        let pages = Pages {
            records: BTreeMap::new(),
            used: BTreeSet::new(),
            last_ordinal: 0,
            compensation: Compensation::No,
            is_given_up: false,
            is_fenced: false,
        };
        Self { store, run, is_first, opened: OnceCell::new(), pages: Mutex::new(pages) }
    }

    pub(super) const fn run(&self) -> &StepRun {
        &self.run
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a name for this attempt.
    pub(super) fn use_name(&self, name: &str, is_undoable: bool) -> Result<(), StepError> {
        let mut pages = self.pages();
        if is_undoable && pages.compensation != Compensation::No {
            return Err(StepError::invalid(name, "can be undone, but comes after the compensation"));
        }
        if !pages.used.insert(name.to_owned()) {
            return Err(StepError::invalid(name, "is taken twice in one run: give each step a name of its own"));
        }
        Ok(())
    }

    /// Reads what earlier attempts have done, once, and shuts them out.
    pub(super) async fn open(&self, name: &str) -> Result<(), StepError> {
        if self.is_first {
            return Ok(());
        }
        self.opened.get_or_try_init(|| self.read(name)).await.map(|_| ())
    }

    async fn read(&self, name: &str) -> Result<(), StepError> {
        let mut patience = Patience::new();
        let found = loop {
            match self.store.open_steps(&self.run).await {
                Ok(found) => break found,
                Err(error) => patience.pause_after(name, error).await?,
            }
        };
        let Some(found) = found else { return Err(self.fenced(name)) };
        let mut pages = self.pages();
        for record in found {
            if record.ordinal != NEVER {
                pages.last_ordinal = pages.last_ordinal.max(record.ordinal);
            }
            pages.is_given_up |= record.state >= StepState::Undoing;
            pages.records.insert(record.name.clone(), record);
        }
        Ok(())
    }

    /// Begins a step: afterwards whoever looks knows that it may have happened.
    ///
    /// A step that is `marked` is written before it is called.
    pub(super) async fn begin(&self, name: &str, role: Role, marked: bool) -> Result<Begun, StepError> {
        let (record, is_repeated) = {
            let mut pages = self.pages();
            if pages.is_fenced {
                return Err(StepError::fenced(name));
            }
            if let Some(known) = pages.records.get(name).filter(|known| known.state != StepState::Begun) {
                return Ok(Begun::Known(known.clone()));
            }
            let is_over = pages.compensation == Compensation::Finished;
            if (pages.is_given_up || pages.compensation == Compensation::Begun) && !is_over {
                return Err(StepError::undone(name));
            }
            let is_repeated = pages.records.contains_key(name);
            (pages.note(name, if is_over { Role::Afterwards } else { role }, marked)?, is_repeated)
        };
        if !marked {
            return Ok(Begun::Call { record, is_repeated });
        }
        let stands = self.write(&record).await?;
        Ok(match stands.state {
            StepState::Begun => Begun::Call { record: stands, is_repeated },
            _ => Begun::Known(stands),
        })
    }

    /// Writes a record, as often as it takes; says how the step stands then.
    pub(super) async fn write(&self, record: &StepRecord) -> Result<StepRecord, StepError> {
        let name = &record.name;
        if self.pages().is_fenced {
            return Err(StepError::fenced(name));
        }
        let mut patience = Patience::new();
        let stands = loop {
            match self.store.write_step(&self.run, record).await {
                Ok(stands) => break stands,
                Err(error) => patience.pause_after(name, error).await?,
            }
        };
        let Some(stands) = stands else { return Err(self.fenced(name)) };
        self.pages().records.insert(name.clone(), stands.clone());
        Ok(stands)
    }

    /// Sees to it that a step nobody has begun is not begun any more.
    ///
    /// By its own name: of two that write it at once the later one sees what the other has written.
    pub(super) async fn shut(&self, name: &str, role: Role) -> Result<(), StepError> {
        if self.record(name).is_some() {
            return Ok(());
        }
        let kept = Kept::of(role, None).write().map_err(|error| StepError::codec(name, error))?;
        let (name, result) = (name.to_owned(), Some(kept));
        self.write(&StepRecord { name, ordinal: NEVER, state: StepState::Begun, result }).await.map(drop)
    }

    fn fenced(&self, name: &str) -> StepError {
        self.pages().is_fenced = true;
        telemetry::fenced(name);
        StepError::fenced(name)
    }

    /// Begins to undo; says which steps there are, the last one first. `None`: everything is undone already.
    pub(super) fn begin_compensation(&self) -> Option<Vec<String>> {
        let mut pages = self.pages();
        if pages.compensation == Compensation::Finished {
            return None;
        }
        pages.compensation = Compensation::Begun;
        let mut steps: Vec<_> = pages.records.values().map(|step| (step.ordinal, step.name.clone())).collect();
        steps.sort_unstable();
        Some(steps.into_iter().rev().map(|(_, name)| name).collect())
    }

    pub(super) fn finish_compensation(&self) {
        self.pages().compensation = Compensation::Finished;
    }

    pub(super) fn record(&self, name: &str) -> Option<StepRecord> {
        self.pages().records.get(name).cloned()
    }

    /// Whether anything may have been begun, in this attempt or before.
    pub(super) fn is_touched(&self) -> bool {
        !self.is_first || !self.pages().records.is_empty()
    }

    /// Whether an undoing that was begun is not at its end.
    pub(super) fn is_being_undone(&self) -> bool {
        let pages = self.pages();
        pages.compensation == Compensation::Begun || (pages.is_given_up && pages.compensation == Compensation::No)
    }
}

/// Counts how often the store was asked.
struct Patience {
    left: u32,
    pauses: ExponentialBackoff,
}

impl Patience {
    fn new() -> Self {
        Self { left: STORE_TRIES - 1, pauses: STORE_PAUSES.begin() }
    }

    /// Pauses where the same call may succeed later, or tells whether it has.
    async fn pause_after(&mut self, name: &str, error: Error) -> Result<(), StepError> {
        if self.left == 0 || !(error.is_retryable() || error.is_outcome_unknown()) {
            return Err(StepError::store(name, error));
        }
        self.left -= 1;
        sleep(self.pauses.next().unwrap_or(STORE_PAUSES.longest)).await;
        Ok(())
    }
}

impl Pages {
    /// Notes that a step is begun, before it is written: a compensation beside it has to know.
    fn note(&mut self, name: &str, role: Role, marked: bool) -> Result<StepRecord, StepError> {
        if let Some(known) = self.records.get(name) {
            return Ok(known.clone());
        }
        let result = Kept::of(role, None).write().map_err(|error| StepError::codec(name, error))?;
        self.last_ordinal += 1;
        let record = StepRecord {
            name: name.to_owned(),
            ordinal: self.last_ordinal,
            state: StepState::Begun,
            result: Some(result),
        };
        if marked {
            self.records.insert(name.to_owned(), record.clone());
        }
        Ok(record)
    }
}
