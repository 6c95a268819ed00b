//! Who carries out what a process decides: repositories by aggregate type, handlers by name.

use std::{collections::BTreeMap, fmt, marker::PhantomData, pin::Pin, sync::Arc, time::Duration};

use serde::{Serialize, de::DeserializeOwned};
use serde_json::value::{RawValue, to_raw_value};
use uuid::Uuid;

use super::{Call, UndoCall};
use crate::{
    command::{ExecuteError, Outcome, Repository},
    domain::{Aggregate, Id, PlannedStep, StepWork, without_data},
    process::{StepFailure, Undo},
    store::IdempotencyKey,
};

pub(super) type Json = Box<RawValue>;
pub(super) type Running<T> = Pin<Box<dyn Future<Output = Result<T, StepFailure>> + Send>>;

/// A step that can be taken: its request has been read.
pub(super) type Take = Arc<dyn Fn(IdempotencyKey, bool) -> Running<Json> + Send + Sync>;
/// A step that can be undone.
pub(super) type Untake = Arc<dyn Fn(Undo<Json>, bool) -> Running<()> + Send + Sync>;

type MakeTake = dyn Fn(Uuid, &PlannedStep) -> Result<Take, serde_json::Error> + Send + Sync;
type MakeUntake = dyn Fn(Uuid, &PlannedStep) -> Result<Untake, serde_json::Error> + Send + Sync;

/// What a runner knows how to do.
#[derive(Clone, Default)]
pub(super) struct Handlers {
    commands: BTreeMap<&'static str, Arc<dyn Commands>>,
    calls: BTreeMap<String, Arc<MakeTake>>,
    undos: BTreeMap<String, Arc<MakeUntake>>,
    kept_for: BTreeMap<String, Duration>,
}

impl fmt::Debug for Handlers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handlers")
            .field("commands", &self.commands.keys())
            .field("calls", &self.calls.keys())
            .field("undos", &self.undos.keys())
            .finish_non_exhaustive()
    }
}

impl Handlers {
    pub(super) fn commands<A>(&mut self, repository: Repository<A>)
    where
        A: Aggregate,
        A::Command: DeserializeOwned + 'static,
    {
        self.commands.insert(A::TYPE, Arc::new(repository));
    }

    pub(super) fn call<R, T, H, F>(&mut self, name: String, handler: H)
    where
        R: DeserializeOwned + Clone + Send + Sync + 'static,
        T: Serialize + 'static,
        H: Fn(Call<R>) -> F + Send + Sync + 'static,
        F: Future<Output = Result<T, StepFailure>> + Send + 'static,
    {
        let handler = Arc::new(handler);
        let make = move |process_id, planned: &PlannedStep| {
            let request: R = request_of(planned)?;
            let (handler, planned_at, step) = (Arc::clone(&handler), planned.planned_at, planned.name.clone());
            let take = move |key, is_key_old| -> Running<Json> {
                let request = request.clone();
                let called = handler(Call { process_id, step: step.clone(), request, key, planned_at, is_key_old });
                // What it was answered cannot be written down: it has happened all the same.
                Box::pin(async move { to_raw_value(&called.await?).map_err(StepFailure::unknown) })
            };
            Ok(Arc::new(take) as Take)
        };
        self.calls.insert(name, Arc::new(make));
    }

    pub(super) fn undo<R, T, H, F>(&mut self, name: String, handler: H)
    where
        R: DeserializeOwned + Clone + Send + Sync + 'static,
        T: DeserializeOwned + 'static,
        H: Fn(UndoCall<R, T>) -> F + Send + Sync + 'static,
        F: Future<Output = Result<(), StepFailure>> + Send + 'static,
    {
        let handler = Arc::new(handler);
        let make = move |process_id, planned: &PlannedStep| {
            let request: R = request_of(planned)?;
            let (handler, step) = (Arc::clone(&handler), planned.name.clone());
            let untake = move |undo: Undo<Json>, is_key_old| -> Running<()> {
                let Undo { key, action_key, result } = undo;
                let result = match result.map(|result| serde_json::from_str(result.get())).transpose() {
                    Ok(result) => result,
                    Err(error) => return Box::pin(async move { Err(StepFailure::unknown(without_data(error))) }),
                };
                let (request, step) = (request.clone(), step.clone());
                Box::pin(handler(UndoCall { process_id, step, request, key, action_key, result, is_key_old }))
            };
            Ok(Arc::new(untake) as Untake)
        };
        self.undos.insert(name, Arc::new(make));
    }

    pub(super) fn keys_kept_for(&mut self, name: String, time: Duration) {
        self.kept_for.insert(name, time);
    }

    /// How long the service that a step calls keeps its keys, where that was said.
    pub(super) fn kept_for(&self, planned: &PlannedStep) -> Option<Duration> {
        match &planned.work {
            StepWork::Call { handler, .. } => self.kept_for.get(handler).copied(),
            StepWork::Command { .. } => None,
        }
    }

    /// The same for what undoes it, which has to do with the keys of both.
    pub(super) fn undo_kept_for(&self, planned: &PlannedStep) -> Option<Duration> {
        let undo = match &planned.work {
            StepWork::Call { undo_handler: Some(handler), .. } => self.kept_for.get(handler).copied(),
            StepWork::Call { .. } | StepWork::Command { .. } => None,
        };
        self.kept_for(planned).into_iter().chain(undo).min()
    }

    /// Finds out how a step is taken, and undone if it can be.
    ///
    /// The error says what is not known here: nothing was begun.
    pub(super) fn find(&self, process_id: Uuid, planned: &PlannedStep) -> Result<(Take, Option<Untake>), String> {
        let step = &planned.name;
        match &planned.work {
            StepWork::Command { aggregate_type, aggregate_id, command, undo } => {
                let Some(commands) = self.commands.get(aggregate_type.as_str()) else {
                    return Err(format!("the step {step} goes to {aggregate_type}, whose commands nobody takes here"));
                };
                let unfit = |error| format!("the step {step} has a command that does not fit: {}", without_data(error));
                let take = Arc::clone(commands).take(*aggregate_id, command).map_err(unfit)?;
                let undo = undo.as_deref();
                let untake = undo.map(|undo| Arc::clone(commands).untake(*aggregate_id, undo)).transpose();
                Ok((take, untake.map_err(unfit)?))
            }
            StepWork::Call { handler, undo_handler, .. } => {
                let Some(make) = self.calls.get(handler) else {
                    return Err(format!("the step {step} is for the handler {handler}, which there is not here"));
                };
                let unfit = |error| format!("the step {step} has a request that does not fit: {}", without_data(error));
                let take = make(process_id, planned).map_err(unfit)?;
                let Some(undo_handler) = undo_handler else { return Ok((take, None)) };
                let Some(make) = self.undos.get(undo_handler) else {
                    return Err(format!("the step {step} is undone by {undo_handler}, which there is not here"));
                };
                Ok((take, Some(make(process_id, planned).map_err(unfit)?)))
            }
        }
    }
}

fn request_of<R: DeserializeOwned>(planned: &PlannedStep) -> Result<R, serde_json::Error> {
    match &planned.work {
        StepWork::Call { request, .. } => serde_json::from_str(request.get()),
        StepWork::Command { .. } => serde_json::from_str("null"),
    }
}

/// A repository, whatever its aggregate.
trait Commands: Send + Sync {
    fn take(self: Arc<Self>, id: Uuid, command: &RawValue) -> Result<Take, serde_json::Error>;
    fn untake(self: Arc<Self>, id: Uuid, undo: &RawValue) -> Result<Untake, serde_json::Error>;
}

/// A command that was read once, and is executed as often as it takes.
struct Command<A: Aggregate> {
    repository: Repository<A>,
    id: Id<A>,
    command: A::Command,
    /// As it was planned: what the key stands for, also where later code writes the same command otherwise.
    planned: Json,
    aggregate: PhantomData<fn() -> A>,
}

impl<A: Aggregate> Command<A>
where
    A::Command: DeserializeOwned + 'static,
{
    fn read(repository: &Repository<A>, id: Uuid, command: &RawValue) -> Result<Arc<Self>, serde_json::Error> {
        let (planned, command) = (command.to_owned(), serde_json::from_str(command.get())?);
        let (repository, id) = (repository.clone(), Id::from_uuid(id));
        Ok(Arc::new(Self { repository, id, command, planned, aggregate: PhantomData }))
    }

    async fn execute(&self, key: IdempotencyKey) -> Result<(), StepFailure> {
        let execute = self.repository.execute(self.id, &self.command).idempotency_key(key);
        match execute.fingerprint_of(&self.planned).await {
            Ok(_) => Ok(()),
            Err(ExecuteError::Rejected { rejection, .. }) => Err(StepFailure::refused(&rejection)),
            Err(ExecuteError::Store(error)) if error.is_retryable() => Err(StepFailure::retryable(error)),
            Err(ExecuteError::Store(error)) => Err(StepFailure::unknown(error)),
        }
    }

    /// Executes a command that undoes another. One that is rejected has to be accepted some day: so that is not the last word.
    async fn execute_undo(&self, key: IdempotencyKey) -> Result<(), StepFailure> {
        let execute = self.repository.execute(self.id, &self.command).idempotency_key(key).forgetting_rejections();
        match execute.fingerprint_of(&self.planned).await {
            Ok(_) => Ok(()),
            Err(ExecuteError::Rejected { rejection, .. }) => Err(StepFailure::retryable(rejection)),
            Err(ExecuteError::Store(error)) if error.is_retryable() => Err(StepFailure::retryable(error)),
            Err(ExecuteError::Store(error)) => Err(StepFailure::unknown(error)),
        }
    }
}

impl<A: Aggregate> Commands for Repository<A>
where
    A::Command: DeserializeOwned + 'static,
{
    fn take(self: Arc<Self>, id: Uuid, command: &RawValue) -> Result<Take, serde_json::Error> {
        let command = Command::read(&self, id, command)?;
        Ok(Arc::new(move |key, _| {
            let command = Arc::clone(&command);
            Box::pin(async move {
                command.execute(key).await?;
                to_raw_value(&()).map_err(StepFailure::unknown)
            })
        }))
    }

    /// Undoes what has happened, and sees to it that it does not happen any more where it has not.
    fn untake(self: Arc<Self>, id: Uuid, undo: &RawValue) -> Result<Untake, serde_json::Error> {
        let undo = Command::read(&self, id, undo)?;
        Ok(Arc::new(move |keys, _| {
            let undo = Arc::clone(&undo);
            Box::pin(async move {
                let is_done = keys.result.is_some()
                    || match undo.repository.forestall(undo.id, &keys.action_key).await? {
                        Outcome::Accepted(_) => true,
                        Outcome::Rejected(_) | Outcome::Forestalled => false,
                    };
                if is_done { undo.execute_undo(keys.key).await } else { Ok(()) }
            })
        }))
    }
}
