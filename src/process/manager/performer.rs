//! Does what a process has decided, one step after the other.

use std::{
    collections::BTreeMap,
    error::Error as StdError,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use chrono::{DateTime, Utc};
use serde_json::value::RawValue;

use super::{
    call::is_old,
    handlers::{Handlers, Json, Running, Untake},
    settings::Settings,
};
use crate::{
    command::{ExecuteError, Repository},
    domain::{Id, PlannedStep, Process, ProcessCommand, ProcessManager, ProcessStatus, ProcessStepState},
    process::{StepError, Steps, Undo, due::Tend, patience::Pauses, steps::in_time, telemetry},
    read::Signal,
    store::{
        Error, HeldTimer, IdempotencyKey, Scope, ScopedKey, Settled, StepRun, StepStore, TimerStore, with_sources,
    },
};

/// Works on processes that are due.
pub(super) struct Performer<P: ProcessManager> {
    pub(super) repository: Repository<Process<P>>,
    pub(super) steps: Arc<dyn StepStore>,
    pub(super) timers: Arc<dyn TimerStore>,
    pub(super) handlers: Arc<Handlers>,
    pub(super) settings: Arc<Settings>,
}

/// Why work on a process has come to an end before the process has.
enum Halt {
    /// Somebody else has it.
    Lost,
    /// It is tried again later.
    Failed(String),
    /// Somebody has to look at it.
    Park(String),
}

impl From<Error> for Halt {
    fn from(error: Error) -> Self {
        Self::Failed(with_sources(&error))
    }
}

/// What has come of the work on a process so far.
#[derive(Default)]
struct SoFar {
    has_got_on: bool,
    next_due: Option<DateTime<Utc>>,
}

/// The shortest pause before a failing process is tried again.
const SHORTEST_PAUSE: Duration = Duration::from_millis(10);

/// The most timers of one process that fire in a row.
const FIRED_AT_ONCE: u32 = 100;

/// How soon a process that newer code has touched is looked at again, by whoever may be newer then.
const NEWER_PAUSE: Duration = Duration::from_secs(1);

/// The longest pauses between the calls of one attempt that undo a step: nobody else may have the process meanwhile.
const UNDO_PAUSES: Pauses = Pauses::new(Duration::from_millis(100), Duration::from_secs(5));

/// What the keys of steps are made of, by the steps' names.
type Places = Arc<Mutex<BTreeMap<String, String>>>;

impl<P: ProcessManager> Tend for Performer<P> {
    async fn tend(&self, held: &HeldTimer, stop: &Signal) -> Settled {
        self.perform(held, stop).await
    }
}

impl<P: ProcessManager> Performer<P> {
    /// Works on a process until nothing is left to do, or it cannot go on, or the work is to stop.
    async fn perform(&self, held: &HeldTimer, stop: &Signal) -> Settled {
        let mut so_far = SoFar::default();
        let worked = self.work(held, stop, &mut so_far).await;
        let SoFar { has_got_on, next_due } = so_far;
        let attempts = held.timer.attempts;
        match worked {
            Ok(settled) => settled,
            // What is said of it is not heard.
            Err(Halt::Lost) => Settled::GivenBack,
            Err(Halt::Park(failure)) => self.parked(held, failure),
            Err(Halt::Failed(failure)) if !has_got_on && attempts >= self.settings.attempts => {
                self.parked(held, format!("{failure} (tried {attempts} times)"))
            }
            Err(Halt::Failed(failure)) => {
                let attempts = if has_got_on { 1 } else { attempts };
                telemetry::process_failed(P::TYPE, held.timer.id, attempts, &failure);
                let now = self.timers.timer_clock();
                // A timer does not wait for a step that fails.
                let due = next_due.map(|due_at| (due_at - now).to_std().unwrap_or(Duration::ZERO));
                let pause = due.map_or(Duration::MAX, |due| due.max(SHORTEST_PAUSE)).min(self.pause_after(attempts));
                if has_got_on {
                    // It is another failure than the one before, and its first.
                    return Settled::Later { at: now + pause };
                }
                Settled::Failed { pause, failure }
            }
        }
    }

    fn parked(&self, held: &HeldTimer, failure: String) -> Settled {
        telemetry::process_parked(P::TYPE, held.timer.id, &failure);
        Settled::Parked { failure }
    }

    fn pause_after(&self, attempts: u32) -> Duration {
        let nth = attempts.saturating_sub(1).min(63) as usize;
        self.settings.pauses.begin().nth(nth).unwrap_or(self.settings.pauses.longest)
    }

    async fn work(&self, held: &HeldTimer, stop: &Signal, so_far: &mut SoFar) -> Result<Settled, Halt> {
        let id = Id::from_uuid(held.timer.id);
        let places = Places::default();
        let mut steps = None;
        let (mut loaded, mut fired) = (self.repository.load(id).await?, 0);
        loop {
            let process = &loaded.state;
            let now = self.now(held);
            if process.definition() > P::VERSION {
                // Newer code sees to it: during a deploy both are there.
                telemetry::process_newer(P::TYPE, held.timer.id, process.definition());
                return Ok(Settled::Later { at: now + NEWER_PAUSE.max(self.settings.poll) });
            }
            learn(&places, process);
            so_far.next_due = process.next_due();
            if process.status().is_terminal() {
                self.forget_steps(held, process).await?;
                telemetry::process_ended(P::TYPE, process.status().as_str());
                return Ok(Settled::Idle);
            }
            if stop.is_up() {
                return Ok(Settled::GivenBack);
            }
            if process.next_due().is_some_and(|due_at| due_at <= now) {
                if fired == FIRED_AT_ONCE {
                    // One that is set again whenever it fires keeps nobody else waiting.
                    return Ok(Settled::Later { at: now + SHORTEST_PAUSE });
                }
                // Where it cannot be fired nothing is gained by trying it at once.
                so_far.next_due = None;
                self.tell(id, ProcessCommand::Fire { at: now }).await?;
                fired += 1;
                loaded = self.repository.refresh(id, loaded).await?;
                continue;
            }
            if process.status() == ProcessStatus::Compensating {
                // What these steps knew is read again, with what is to be undone.
                steps = None;
                self.compensate(held, process, &places).await?;
                self.tell(id, ProcessCommand::Undone { at: self.timers.timer_clock() }).await?;
                so_far.has_got_on = true;
                loaded = self.repository.refresh(id, loaded).await?;
                continue;
            }
            let Some(planned) = process.next_step() else {
                return Ok(match process.next_due() {
                    Some(at) => Settled::Later { at },
                    None => Settled::Idle,
                });
            };
            let steps = match &mut steps {
                Some(steps) => steps,
                none => none.insert(self.begin(held, process, &places).await?),
            };
            let outcome = self.take(steps, held, planned).await?;
            let step = planned.name.clone();
            self.tell(id, ProcessCommand::Settle { step, outcome, at: self.timers.timer_clock() }).await?;
            so_far.has_got_on = true;
            loaded = self.repository.refresh(id, loaded).await?;
        }
    }

    /// The time, no earlier than that by which the process was found to be due: a database's server may be ahead.
    fn now(&self, held: &HeldTimer) -> DateTime<Utc> {
        let claimed_at = held.timer.lease.as_ref().map(|lease| lease.renewed_at);
        claimed_at.map_or(DateTime::<Utc>::MIN_UTC, |at| at).max(self.timers.timer_clock())
    }

    /// Tells a process what has happened.
    async fn tell(&self, id: Id<Process<P>>, command: ProcessCommand<P::Input>) -> Result<(), Halt> {
        match self.repository.execute(id, &command).await {
            Ok(_) => Ok(()),
            // Mended by other code: until then it is tried again, and then parked.
            Err(ExecuteError::Rejected { rejection, .. }) => Err(Halt::Failed(rejection.to_string())),
            Err(ExecuteError::Store(error)) => Err(error.into()),
        }
    }

    fn steps(&self, held: &HeldTimer, places: &Places) -> Result<Steps, Halt> {
        let run = StepRun { run_id: held.timer.id, fence: held.fence, keep_for: None };
        let process = ScopedKey::new(
            Scope::new(format!("process:{}", P::TYPE))?,
            IdempotencyKey::new(held.timer.id.simple().to_string())?,
        );
        let places = Arc::clone(places);
        let keys = move |name: &str| {
            let (what, step) = name.split_once(':').unwrap_or(("step", name));
            let places = places.lock().unwrap_or_else(PoisonError::into_inner);
            // Of the input and the place in what it led to; by its name alone where that is not known.
            process.derived_key(&format!("{what}:{}", places.get(step).map_or(step, String::as_str)))
        };
        Ok(Steps::of_later_attempt(Arc::clone(&self.steps), run, keys))
    }

    /// The steps of a process that is under way. Where everything was undone, what follows is taken after that.
    async fn begin(&self, held: &HeldTimer, process: &Process<P>, places: &Places) -> Result<Steps, Halt> {
        let steps = self.steps(held, places)?;
        if process.status() == ProcessStatus::Closing {
            steps.compensate().await.map_err(halted)?;
        }
        Ok(steps)
    }

    /// Takes a step: `Ok(Err(…))` where it was refused for good.
    async fn take(&self, steps: &Steps, held: &HeldTimer, planned: &PlannedStep) -> Result<Result<Json, Json>, Halt> {
        let (take, untake) = self.handlers.find(held.timer.id, planned).map_err(Halt::Park)?;
        let is_key_old = is_old(planned.planned_at, self.timers.timer_clock(), self.handlers.kept_for(planned));
        if is_key_old {
            telemetry::process_key_old(P::TYPE, held.timer.id, &planned.name);
        }
        let Settings { call_timeout, .. } = *self.settings;
        let step = steps.step(&planned.name).within(call_timeout);
        let action = |key| take(key, is_key_old);
        let taken = match untake {
            Some(untake) => step.undo(undoing(untake, is_key_old, call_timeout)).run(action).await,
            None => step.run(action).await,
        };
        match taken {
            Ok(result) => Ok(Ok(result)),
            Err(StepError::Refused { refusal, .. }) => {
                let why = RawValue::from_string(refusal.json().to_owned());
                Ok(Err(why.map_err(|error| Halt::Park(error.to_string()))?))
            }
            Err(error) => Err(halted(error)),
        }
    }

    /// Undoes what was done, the last step first.
    async fn compensate(&self, held: &HeldTimer, process: &Process<P>, places: &Places) -> Result<(), Halt> {
        let steps = self.steps(held, places)?;
        for step in process.steps().iter().filter(|step| step.planned.work.is_undoable()) {
            let (_, untake) = self.handlers.find(held.timer.id, &step.planned).map_err(Halt::Park)?;
            let Some(untake) = untake else { continue };
            let kept_for = self.handlers.undo_kept_for(&step.planned);
            let is_key_old = is_old(step.planned.planned_at, self.timers.timer_clock(), kept_for);
            let pauses = self.settings.pauses;
            let known = steps.step(&step.planned.name);
            let known = known.pauses(pauses.first.min(UNDO_PAUSES.first), pauses.longest.min(UNDO_PAUSES.longest));
            let known = known.undo(undoing(untake, is_key_old, self.settings.call_timeout));
            known.known().map_err(halted)?;
        }
        // Of what was never begun there is nothing to undo; but somebody may be late, and about to begin it.
        for step in process.steps().iter().filter(|step| step.state == ProcessStepState::Planned) {
            steps.shut(&step.planned.name, step.planned.work.is_undoable()).await.map_err(halted)?;
        }
        steps.compensate().await.map_err(halted)
    }

    /// Lets the records of the steps expire: nobody comes back to them.
    async fn forget_steps(&self, held: &HeldTimer, process: &Process<P>) -> Result<(), Halt> {
        if process.steps().is_empty() {
            return Ok(());
        }
        let keep_for = Some(self.settings.keep_steps_for);
        let run = StepRun { run_id: held.timer.id, fence: held.fence, keep_for };
        match self.steps.open_steps(&run).await? {
            Some(_) => Ok(()),
            None => Err(Halt::Lost),
        }
    }
}

/// Notes what the keys of a process's steps are made of.
fn learn<P>(places: &Places, process: &Process<P>) {
    let mut places = places.lock().unwrap_or_else(PoisonError::into_inner);
    for step in process.steps() {
        let PlannedStep { name, cause, ordinal, .. } = &step.planned;
        places.entry(name.clone()).or_insert_with(|| format!("{cause}#{ordinal}"));
    }
}

/// Undoes a step within a time. What takes longer may have been done: it is done again, with the same key.
fn undoing(
    untake: Untake,
    is_key_old: bool,
    within: Duration,
) -> impl Fn(Undo<Json>) -> Running<()> + Send + Sync + 'static {
    move |undo| {
        let undone = untake(undo, is_key_old);
        Box::pin(in_time(Some(within), undone))
    }
}

fn halted(error: StepError) -> Halt {
    match error {
        StepError::Fenced { .. } => Halt::Lost,
        StepError::Invalid { .. } | StepError::Codec { .. } | StepError::NotReached { .. } => {
            Halt::Park(with_sources(&error as &(dyn StdError + 'static)))
        }
        error => Halt::Failed(with_sources(&error as &(dyn StdError + 'static))),
    }
}
