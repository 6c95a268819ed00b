//! A process: the state of its manager, its steps and its timers.

use std::{collections::BTreeMap, fmt};

use chrono::{DateTime, Utc};

use super::{PlannedStep, ProcessCommand, ProcessEvent, ProcessFault, ProcessManager, ProcessNote, decide};
use crate::domain::{Aggregate, Upcasters};

/// One process: what its manager remembers, and how far its steps have come.
///
/// An aggregate like any other: load it by a [`Repository`](crate::Repository), replay its history, look at it as it was at
/// a time. Its events are recorded by a runner alone.
pub struct Process<P> {
    manager: P,
    status: ProcessStatus,
    version: u32,
    steps: Vec<ProcessStep>,
    timers: BTreeMap<String, DateTime<Utc>>,
    fired: BTreeMap<String, u64>,
    is_completing: bool,
    reason: Option<String>,
}

/// Says how far a process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum ProcessStatus {
    /// Nothing has happened yet.
    #[default]
    New,
    /// It is under way.
    Running,
    /// What was done is being undone.
    Compensating,
    /// Everything is undone; the steps that were to follow are being taken.
    Closing,
    /// It has ended as it was meant to.
    Completed,
    /// It has ended, and everything it had done is undone.
    Compensated,
}

impl ProcessStatus {
    /// Whether it has ended: it stays as it is from then on.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Completed | Self::Compensated)
    }

    /// The word for it, in metrics and reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Running => "running",
            Self::Compensating => "compensating",
            Self::Closing => "closing",
            Self::Completed => "completed",
            Self::Compensated => "compensated",
        }
    }
}

/// A step of a process.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ProcessStep {
    /// What was planned.
    pub planned: PlannedStep,
    /// How far it has come.
    pub state: ProcessStepState,
}

/// Says how far a step of a process has come, as its history knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProcessStepState {
    /// It is to be taken, or is being taken.
    Planned,
    /// It is done.
    Done,
    /// It was refused.
    Refused,
    /// The compensation has seen to it: it is undone, or was never taken.
    Undone,
}

impl<P> Process<P> {
    /// What the process manager remembers.
    #[must_use]
    pub const fn manager(&self) -> &P {
        &self.manager
    }

    /// How far it is.
    #[must_use]
    pub const fn status(&self) -> ProcessStatus {
        self.status
    }

    /// The version of the definition that has touched it last; 0: none yet.
    #[must_use]
    pub const fn definition(&self) -> u32 {
        self.version
    }

    /// Its steps, in the order they were planned.
    #[must_use]
    pub fn steps(&self) -> &[ProcessStep] {
        &self.steps
    }

    /// The step of a name.
    #[must_use]
    pub fn step(&self, name: &str) -> Option<&ProcessStep> {
        self.steps.iter().find(|step| step.planned.name == name)
    }

    /// The timers that wait, with when they are due.
    pub fn timers(&self) -> impl Iterator<Item = (&str, DateTime<Utc>)> {
        self.timers.iter().map(|(name, due_at)| (name.as_str(), *due_at))
    }

    /// What the compensation was begun for, if it was.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    /// The step that is to be taken next, if steps are taken.
    #[must_use]
    pub fn next_step(&self) -> Option<&PlannedStep> {
        let is_taken = matches!(self.status, ProcessStatus::Running | ProcessStatus::Closing);
        let planned = self.steps.iter().find(|step| is_taken && step.state == ProcessStepState::Planned);
        planned.map(|step| &step.planned)
    }

    /// When the next timer is due.
    #[must_use]
    pub fn next_due(&self) -> Option<DateTime<Utc>> {
        self.timers.values().min().copied()
    }

    pub(super) fn due_timers(&self, at: DateTime<Utc>) -> Vec<(&str, u64)> {
        let mut due: Vec<_> = self.timers.iter().filter(|(_, due_at)| **due_at <= at).collect();
        due.sort_by_key(|(name, due_at)| (**due_at, *name));
        due.into_iter().map(|(name, _)| (name.as_str(), self.fired.get(name).map_or(1, |fired| fired + 1))).collect()
    }

    pub(super) const fn is_completing(&self) -> bool {
        self.is_completing
    }

    fn close(&mut self, status: ProcessStatus) {
        self.status = status;
        self.timers.clear();
    }

    fn end_step(&mut self, name: &str, state: ProcessStepState) {
        if let Some(step) = self.steps.iter_mut().find(|step| step.planned.name == name) {
            step.state = state;
        }
    }

    fn note(&mut self, note: &ProcessNote) {
        match note {
            ProcessNote::ProcessDefined { version } => {
                self.version = *version;
                if self.status == ProcessStatus::New {
                    self.status = ProcessStatus::Running;
                }
            }
            ProcessNote::ProcessStepPlanned(planned) => {
                self.steps.push(ProcessStep { planned: planned.clone(), state: ProcessStepState::Planned });
            }
            ProcessNote::ProcessStepDone { step, .. } => self.end_step(step, ProcessStepState::Done),
            ProcessNote::ProcessStepRefused { step, .. } => self.end_step(step, ProcessStepState::Refused),
            ProcessNote::ProcessTimerSet { timer, due_at } => {
                self.timers.insert(timer.clone(), *due_at);
            }
            ProcessNote::ProcessTimerCancelled { timer } => {
                self.timers.remove(timer);
            }
            ProcessNote::ProcessTimerFired { timer } => {
                self.timers.remove(timer);
                *self.fired.entry(timer.clone()).or_default() += 1;
            }
            ProcessNote::ProcessCompleting => self.is_completing = true,
            ProcessNote::ProcessCompleted => self.close(ProcessStatus::Completed),
            ProcessNote::ProcessCompensationBegun { reason } => {
                self.reason = Some(reason.clone());
                self.is_completing = false;
                self.close(ProcessStatus::Compensating);
            }
            ProcessNote::ProcessUndone => {
                let seen_to = |step: &&mut ProcessStep| match step.state {
                    ProcessStepState::Planned => true,
                    ProcessStepState::Done => step.planned.work.is_undoable(),
                    ProcessStepState::Refused | ProcessStepState::Undone => false,
                };
                self.steps.iter_mut().filter(seen_to).for_each(|step| step.state = ProcessStepState::Undone);
                self.status = ProcessStatus::Closing;
            }
            ProcessNote::ProcessCompensated => self.close(ProcessStatus::Compensated),
        }
    }
}

impl<P: Default> Default for Process<P> {
    fn default() -> Self {
        Self {
            manager: P::default(),
            status: ProcessStatus::New,
            version: 0,
            steps: Vec::new(),
            timers: BTreeMap::new(),
            fired: BTreeMap::new(),
            is_completing: false,
            reason: None,
        }
    }
}

/// Without what the manager remembers, and what steps hold.
impl<P> fmt::Debug for Process<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let steps = self.steps.iter().map(|step| (step.planned.name.as_str(), step.state));
        f.debug_struct("Process")
            .field("status", &self.status)
            .field("steps", &steps.collect::<BTreeMap<_, _>>())
            .field("timers", &self.timers)
            .finish_non_exhaustive()
    }
}

impl<P: ProcessManager> Aggregate for Process<P> {
    const TYPE: &'static str = P::TYPE;
    type Command = ProcessCommand<P::Input>;
    type Event = ProcessEvent<P::Event>;
    type Rejection = ProcessFault;

    fn decide(&self, command: &Self::Command) -> Result<Vec<Self::Event>, ProcessFault> {
        decide::decide(self, command)
    }

    fn evolve(&mut self, event: &Self::Event) {
        match event {
            ProcessEvent::Own(event) => self.manager.evolve(event),
            ProcessEvent::Note(note) => self.note(note),
        }
    }

    fn upcasters() -> Upcasters {
        P::upcasters()
    }
}
