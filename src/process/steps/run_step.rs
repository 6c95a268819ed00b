//! One step: how it is set up, called and recorded.

use std::{fmt, marker::PhantomData, time::Duration};

use serde::{Serialize, de::DeserializeOwned};
use serde_json::value::to_raw_value;
use tokio::time::{sleep, timeout};

use super::{
    StepError, StepFailure, StepRefusal, Steps,
    book::Begun,
    compensation::{Undo, Undoing},
    failure::Kind,
    kept::{Kept, Role},
};
use crate::{
    process::{patience::Pauses, telemetry},
    store::{IdempotencyKey, StepRecord, StepState},
};

/// Marks a step that can be undone, and what its result is.
pub struct Undoable<T>(PhantomData<fn() -> T>);

impl<T> fmt::Debug for Undoable<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Undoable")
    }
}

/// A step that is set up, to be [`run`](Self::run).
#[derive(Debug)]
#[must_use = "a step does nothing until it is run"]
pub struct RunStep<R = ()> {
    steps: Steps,
    name: String,
    settings: Settings,
    undoing: Option<Undoing>,
    result: PhantomData<fn() -> R>,
}

/// How a step is called.
#[derive(Debug, Clone, Copy)]
struct Settings {
    tries: u32,
    pauses: Pauses,
    limit: Option<Duration>,
    marked: bool,
}

impl Settings {
    const DEFAULT: Self = Self {
        tries: 1,
        pauses: Pauses::new(Duration::from_millis(100), Duration::from_secs(5)),
        limit: None,
        marked: true,
    };
}

impl<R> RunStep<R> {
    /// How often it is called within this attempt, until its outcome is known.
    ///
    /// Default: 1.
    pub const fn attempts(mut self, most: u32) -> Self {
        self.settings.tries = most;
        self
    }

    /// The pause before the second call, and what pauses grow to by doubling.
    ///
    /// Default: 100 ms, 5 s.
    ///
    /// Also between the calls that undo it.
    pub const fn pauses(mut self, first: Duration, longest: Duration) -> Self {
        self.settings.pauses = Pauses::new(first, longest);
        self
    }

    /// How long a call may take; after that its outcome is unknown.
    ///
    /// Default: as long as it likes.
    pub const fn within(mut self, limit: Duration) -> Self {
        self.settings.limit = Some(limit);
        self
    }

    fn begin<T, F, A>(self, action: F) -> impl Future<Output = Result<T, StepError>> + Send + use<R, T, F, A>
    where
        T: Serialize + DeserializeOwned + Send,
        F: FnMut(IdempotencyKey) -> A + Send,
        A: Future<Output = Result<T, StepFailure>> + Send,
    {
        let Self { steps, name, settings, undoing, .. } = self;
        let role = if undoing.is_some() { Role::Undoable } else { Role::Plain };
        // Now, not when it is polled: a compensation may come before that.
        let registered = steps.register(&name, undoing.map(|undoing| (undoing, settings.pauses)));
        async move {
            registered?;
            take(&steps, &name, role, settings, action).await
        }
    }
}

impl RunStep {
    pub(super) fn new(steps: Steps, name: String) -> Self {
        Self { steps, name, settings: Settings::DEFAULT, undoing: None, result: PhantomData }
    }

    /// How it is undone, should it come to that.
    ///
    /// Called by [`Steps::compensate`], with a key of its own that stays the same; perhaps more than once.
    pub fn undo<T, F, U>(self, undo: F) -> RunStep<Undoable<T>>
    where
        T: DeserializeOwned + Send + 'static,
        F: Fn(Undo<T>) -> U + Send + Sync + 'static,
        U: Future<Output = Result<(), StepFailure>> + Send + 'static,
    {
        let Self { steps, name, settings, .. } = self;
        RunStep { steps, name, settings, undoing: Some(Undoing::new(undo)), result: PhantomData }
    }

    /// It changes nothing wherever it asks.
    ///
    /// So it is written once, with its result, and not before.
    ///
    /// For a price, a rate, a decision that has to be the same in every attempt. Default: a step is written before it is
    /// called as well, so that a compensation knows what may have happened, and a late attempt is stopped before the call.
    pub const fn only_reads(mut self) -> Self {
        self.settings.marked = false;
        self
    }

    /// Calls it, or gives the result it had.
    ///
    /// The key is the same in each call of every attempt: hand it on.
    ///
    /// The result is what is read back from its JSON, so the first attempt sees what later ones see.
    ///
    /// # Errors
    ///
    /// See [`StepError`]: end the attempt, and where it is final, [`compensate`](Steps::compensate) first.
    pub fn run<T, F, A>(self, action: F) -> impl Future<Output = Result<T, StepError>> + Send + use<T, F, A>
    where
        T: Serialize + DeserializeOwned + Send,
        F: FnMut(IdempotencyKey) -> A + Send,
        A: Future<Output = Result<T, StepFailure>> + Send,
    {
        self.begin(action)
    }
}

impl<T: Serialize + DeserializeOwned + Send> RunStep<Undoable<T>> {
    /// Calls it, or gives the result it had.
    ///
    /// The key is the same in each call of every attempt: hand it on.
    ///
    /// The result is what is read back from its JSON, so the first attempt sees what later ones see.
    ///
    /// # Errors
    ///
    /// See [`StepError`]: end the attempt, and where it is final, [`compensate`](Steps::compensate) first.
    pub fn run<F, A>(self, action: F) -> impl Future<Output = Result<T, StepError>> + Send + use<T, F, A>
    where
        F: FnMut(IdempotencyKey) -> A + Send,
        A: Future<Output = Result<T, StepFailure>> + Send,
    {
        self.begin(action)
    }

    /// Only says how it is undone, and does not take it.
    ///
    /// For a step that an earlier attempt may have taken.
    ///
    /// # Errors
    ///
    /// [`StepError::Invalid`]: its name is taken.
    pub fn known(self) -> Result<(), StepError> {
        let Self { steps, name, settings, undoing, .. } = self;
        steps.register(&name, undoing.map(|undoing| (undoing, settings.pauses)))
    }
}

/// Takes a step: begins it, calls it, records what came of it.
async fn take<T, F, A>(steps: &Steps, name: &str, role: Role, settings: Settings, action: F) -> Result<T, StepError>
where
    T: Serialize + DeserializeOwned + Send,
    F: FnMut(IdempotencyKey) -> A + Send,
    A: Future<Output = Result<T, StepFailure>> + Send,
{
    steps.book().open(name).await?;
    let (begun, is_repeated) = match steps.book().begin(name, role, settings.marked).await? {
        Begun::Call { record, is_repeated } => (record, is_repeated),
        Begun::Known(record) => {
            telemetry::step("replayed");
            return answer(&record);
        }
    };
    let (state, value, outcome) = match call(steps, name, settings, is_repeated, action).await? {
        Ok(result) => (StepState::Done, to_raw_value(&result), "done"),
        Err(refusal) => (StepState::Refused, refusal, "refused"),
    };
    let value = value.map_err(|error| StepError::codec(name, error))?;
    if state == StepState::Done {
        // What cannot be read back is not written: every later attempt would fail on it.
        serde_json::from_str::<T>(value.get()).map_err(|error| StepError::codec(name, error))?;
    }
    let role = Kept::read(begun.result.as_deref()).map_err(|error| StepError::codec(name, error))?.role;
    let kept = Kept::of(role, Some(value)).write().map_err(|error| StepError::codec(name, error))?;
    let stands = steps.book().write(&StepRecord { state, result: Some(kept), ..begun }).await?;
    if stands.state >= StepState::Undoing {
        // A compensation has come first: whoever goes on from here would go on from what is undone.
        telemetry::step("overtaken");
        return Err(StepError::undone(name));
    }
    telemetry::step(outcome);
    answer(&stands)
}

/// What a step that has come to an end has to say.
fn answer<T: DeserializeOwned>(record: &StepRecord) -> Result<T, StepError> {
    let name = &record.name;
    let kept = Kept::read(record.result.as_deref()).map_err(|error| StepError::codec(name, error))?;
    match (record.state, kept.value) {
        (StepState::Refused, why) => {
            let json = why.as_deref().map_or("null", |json| json.get());
            Err(StepError::Refused { step: name.clone(), refusal: StepRefusal::new(name, json) })
        }
        // Also of one that is undone: so the code comes again to where it decided to undo.
        (_, Some(result)) => serde_json::from_str(result.get()).map_err(|error| StepError::codec(name, error)),
        (_, None) => Err(StepError::undone(name)),
    }
}

type Refused = Result<Box<serde_json::value::RawValue>, serde_json::Error>;

/// Calls until the outcome is known: a result, or a refusal.
async fn call<T, F, A>(
    steps: &Steps,
    name: &str,
    settings: Settings,
    is_repeated: bool,
    mut action: F,
) -> Result<Result<T, Refused>, StepError>
where
    F: FnMut(IdempotencyKey) -> A + Send,
    A: Future<Output = Result<T, StepFailure>> + Send,
{
    let key = steps.action_key(name);
    let mut pauses = settings.pauses.begin();
    let mut tries = 1;
    // Once one call may have happened, a later one that has not says nothing of it.
    let mut may_have_happened = is_repeated;
    loop {
        let failure = match in_time(settings.limit, action(key.clone())).await {
            Ok(result) => return Ok(Ok(result)),
            Err(failure) => failure.0,
        };
        let error = match failure {
            Kind::Refused(why) => return Ok(Err(why)),
            Kind::Unknown(error) => {
                may_have_happened = true;
                error
            }
            Kind::Retryable(error) => error,
        };
        telemetry::try_failed(name, false, tries, &*error);
        if tries >= settings.tries {
            return Err(if may_have_happened {
                telemetry::step_unknown(name, &*error);
                StepError::unknown(name, error)
            } else {
                telemetry::step("retryable");
                StepError::retryable(name, error)
            });
        }
        tries += 1;
        sleep(pauses.next().unwrap_or(settings.pauses.longest)).await;
    }
}

/// Bounds a call. What takes longer may have happened.
pub(in crate::process) async fn in_time<T>(
    limit: Option<Duration>,
    call: impl Future<Output = Result<T, StepFailure>> + Send,
) -> Result<T, StepFailure> {
    match limit {
        Some(limit) => timeout(limit, call).await.unwrap_or_else(|late| Err(StepFailure::unknown(late))),
        None => call.await,
    }
}
