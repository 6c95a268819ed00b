//! What a process records about a signal.

use chrono::{DateTime, Datelike as _, Utc};
use serde_json::value::RawValue;

use super::{
    Action, Cause, PlannedStep, Process, ProcessCommand, ProcessEvent, ProcessFault, ProcessManager, ProcessNote,
    ProcessStatus, ProcessStepState, Reaction, Reply, Signal, reaction::End,
};

/// The most bytes of the name of a step or a timer.
const NAME_BYTES: usize = 100;

/// The most bytes of the reason for a compensation.
const REASON_BYTES: usize = 1_000;

/// The most steps of one process, and the most timers that wait.
const STEPS: usize = 1_000;
const TIMERS: usize = 100;

type Events<P> = Vec<ProcessEvent<<P as ProcessManager>::Event>>;

pub(super) fn decide<P: ProcessManager>(
    process: &Process<P>,
    command: &ProcessCommand<P::Input>,
) -> Result<Events<P>, ProcessFault> {
    if process.definition() > P::VERSION {
        return Err(ProcessFault::NewerDefinition { found: process.definition(), known: P::VERSION });
    }
    match command {
        ProcessCommand::Take { cause, input, at } => take(process, cause, input, *at),
        ProcessCommand::Settle { step, outcome, at } => settle(process, step, outcome, *at),
        ProcessCommand::Fire { at } => fire(process, *at),
        ProcessCommand::Undone { at } => undone(process, *at),
    }
}

/// An event of the log. One that comes when the process is being undone, or has ended, changes nothing any more.
fn take<P: ProcessManager>(
    process: &Process<P>,
    cause: &Cause,
    input: &P::Input,
    at: DateTime<Utc>,
) -> Result<Events<P>, ProcessFault> {
    if !matches!(process.status(), ProcessStatus::New | ProcessStatus::Running) {
        return Ok(Vec::new());
    }
    let mut record = Record::begin(process, cause.clone(), at);
    record.react(process.manager().react(Signal::Event(input), at))?;
    Ok(record.end())
}

/// The end of a step. It is noted also where the process is being undone by now, and then nothing follows from it.
fn settle<P: ProcessManager>(
    process: &Process<P>,
    name: &str,
    outcome: &Result<Box<RawValue>, Box<RawValue>>,
    at: DateTime<Utc>,
) -> Result<Events<P>, ProcessFault> {
    let Some(step) = process.step(name) else { return Err(ProcessFault::Moved) };
    if step.state != ProcessStepState::Planned {
        // Whoever says it again says it of what is known.
        return Ok(Vec::new());
    }
    let mut record = Record::begin(process, Cause::Step(name.to_owned()), at);
    let step = name.to_owned();
    record.note(match outcome {
        Ok(result) => ProcessNote::ProcessStepDone { step, result: result.clone() },
        Err(reason) => ProcessNote::ProcessStepRefused { step, reason: reason.clone() },
    });
    record.settled = true;
    if matches!(process.status(), ProcessStatus::Running | ProcessStatus::Closing) {
        let signal = match outcome {
            Ok(result) => Signal::Done { step: name, reply: Reply(result) },
            Err(reason) => Signal::Refused { step: name, reply: Reply(reason) },
        };
        record.react(process.manager().react(signal, at))?;
    }
    Ok(record.end())
}

/// The timers that are due, the earliest first; each is reacted to in the state that those before it have led to.
fn fire<P: ProcessManager>(process: &Process<P>, at: DateTime<Utc>) -> Result<Events<P>, ProcessFault> {
    // One at a time: what it leads to may cancel the next.
    let Some((timer, times)) = process.due_timers(at).into_iter().next() else { return Ok(Vec::new()) };
    let mut record = Record::begin(process, Cause::Timer { name: timer.to_owned(), times }, at);
    record.note(ProcessNote::ProcessTimerFired { timer: timer.to_owned() });
    record.react(process.manager().react(Signal::Due { timer }, at))?;
    Ok(record.end())
}

fn undone<P: ProcessManager>(process: &Process<P>, at: DateTime<Utc>) -> Result<Events<P>, ProcessFault> {
    if process.status() != ProcessStatus::Compensating {
        return if process.reason().is_some() { Ok(Vec::new()) } else { Err(ProcessFault::Moved) };
    }
    let mut record = Record::begin(process, Cause::Undone, at);
    record.note(ProcessNote::ProcessUndone);
    record.status = ProcessStatus::Closing;
    record.react(process.manager().react(Signal::Undone { reason: process.reason().unwrap_or_default() }, at))?;
    Ok(record.end())
}

/// What one signal leads to.
struct Record<'p, P: ProcessManager> {
    process: &'p Process<P>,
    cause: Cause,
    at: DateTime<Utc>,
    events: Events<P>,
    planned: Vec<String>,
    /// The timers that are set by this, and were not before.
    timers: Vec<String>,
    /// As it is after what is recorded so far.
    status: ProcessStatus,
    is_completing: bool,
    /// One of the planned steps comes to its end with this.
    settled: bool,
}

impl<'p, P: ProcessManager> Record<'p, P> {
    const fn begin(process: &'p Process<P>, cause: Cause, at: DateTime<Utc>) -> Self {
        Self {
            process,
            cause,
            at,
            events: Vec::new(),
            planned: Vec::new(),
            timers: Vec::new(),
            status: process.status(),
            is_completing: process.is_completing(),
            settled: false,
        }
    }

    fn note(&mut self, note: ProcessNote) {
        self.events.push(ProcessEvent::Note(note));
    }

    fn wrong(&self, problem: impl Into<String>) -> ProcessFault {
        ProcessFault::Reaction { cause: self.cause.to_string(), problem: problem.into() }
    }

    fn react(&mut self, reaction: Reaction<P::Event>) -> Result<(), ProcessFault> {
        let Reaction { events, actions, timers, end } = reaction;
        let is_closing = self.status == ProcessStatus::Closing;
        let is_set = timers.iter().any(|(_, due_at)| due_at.is_some());
        if is_closing && is_set {
            return Err(self.wrong("sets a timer, but everything was undone"));
        }
        self.events.extend(events.into_iter().map(ProcessEvent::Own));
        if matches!(end, End::Compensate { .. }) && (is_set || !actions.is_empty()) {
            return Err(
                self.wrong("has everything undone, and something done: a step after that is for Signal::Undone")
            );
        }
        for action in actions {
            self.plan(action, is_closing)?;
        }
        for (timer, due_at) in timers {
            self.timer(timer, due_at)?;
        }
        match end {
            End::GoOn => {}
            // When everything is undone it ends by itself, and only so.
            End::Complete | End::Compensate { .. } if is_closing => {}
            End::Complete => {
                if !self.is_completing {
                    self.note(ProcessNote::ProcessCompleting);
                }
                self.is_completing = true;
            }
            End::Compensate { mut reason } => {
                reason.truncate(reason.floor_char_boundary(REASON_BYTES));
                self.note(ProcessNote::ProcessCompensationBegun { reason });
                self.status = ProcessStatus::Compensating;
            }
        }
        Ok(())
    }

    fn plan(&mut self, action: Action, is_closing: bool) -> Result<(), ProcessFault> {
        let Action { name, work } = action;
        if name.is_empty() || name.len() > NAME_BYTES || name.chars().any(char::is_control) {
            return Err(
                self.wrong(format!("names a step {name:?}: 1 to {NAME_BYTES} bytes without control characters"))
            );
        }
        if self.process.step(&name).is_some() || self.planned.contains(&name) {
            return Err(self.wrong(format!("plans the step {name} a second time: give each a name of its own")));
        }
        if self.process.steps().len() + self.planned.len() >= STEPS {
            return Err(self.wrong(format!("plans more than {STEPS} steps in one process")));
        }
        let work = work.map_err(|error| self.wrong(format!("plans the step {name}, which is not JSON: {error}")))?;
        if is_closing && work.is_undoable() {
            return Err(self.wrong(format!("plans the step {name} with an undo, but everything was undone")));
        }
        self.planned.push(name.clone());
        let ordinal = u32::try_from(self.planned.len()).unwrap_or(u32::MAX);
        self.note(ProcessNote::ProcessStepPlanned(PlannedStep {
            name,
            cause: self.cause.clone(),
            ordinal,
            planned_at: self.at,
            work,
        }));
        Ok(())
    }

    fn timer(&mut self, timer: String, due_at: Option<DateTime<Utc>>) -> Result<(), ProcessFault> {
        if timer.is_empty() || timer.len() > NAME_BYTES || timer.chars().any(char::is_control) {
            return Err(
                self.wrong(format!("names a timer {timer:?}: 1 to {NAME_BYTES} bytes without control characters"))
            );
        }
        let is_set = self.timers.contains(&timer) || self.process.timers().any(|(set, _)| set == timer);
        match due_at {
            Some(_) if !is_set && self.process.timers().count() + self.timers.len() >= TIMERS => {
                return Err(self.wrong(format!("sets more than {TIMERS} timers in one process")));
            }
            Some(due_at) if !(1..=9999).contains(&due_at.year()) => {
                return Err(self.wrong(format!("sets the timer {timer} to no year from 1 to 9999: {due_at}")));
            }
            Some(due_at) => {
                if !is_set {
                    self.timers.push(timer.clone());
                }
                self.note(ProcessNote::ProcessTimerSet { timer, due_at });
            }
            None if is_set => {
                self.timers.retain(|set| *set != timer);
                self.note(ProcessNote::ProcessTimerCancelled { timer });
            }
            None => {}
        }
        Ok(())
    }

    /// Ends the process where nothing is left, and notes under which definition all of this was decided.
    fn end(mut self) -> Events<P> {
        let steps = self.process.steps();
        let left = steps.iter().filter(|step| step.state == ProcessStepState::Planned).count();
        let left = match self.status {
            // Of what was planned before everything was undone nothing is left.
            ProcessStatus::Closing if self.cause == Cause::Undone => self.planned.len(),
            _ => left + self.planned.len() - usize::from(self.settled),
        };
        match self.status {
            ProcessStatus::Closing if left == 0 => self.note(ProcessNote::ProcessCompensated),
            ProcessStatus::New | ProcessStatus::Running if self.is_completing && left == 0 => {
                self.note(ProcessNote::ProcessCompleted);
            }
            _ => {}
        }
        if !self.events.is_empty() && self.process.definition() < P::VERSION {
            let defined = ProcessNote::ProcessDefined { version: P::VERSION };
            self.events.insert(0, ProcessEvent::Note(defined));
        }
        self.events
    }
}
