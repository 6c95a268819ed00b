//! Hands each event of the log to the process it belongs to.

use std::{collections::HashMap, sync::Arc};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use uuid::Uuid;

use crate::{
    command::{ExecuteError, Repository},
    domain::{Cause, Id, Inputs, Process, ProcessCommand, ProcessFault, ProcessManager},
    process::telemetry,
    read::BoxError,
    store::{Consumer, Error, IdempotencyKey, RecordedEvent, TimerStore},
};

/// Hands events to processes.
pub(super) struct Router<P: ProcessManager> {
    pub(super) repository: Repository<Process<P>>,
    pub(super) timers: Arc<dyn TimerStore>,
    pub(super) inputs: Arc<Inputs<P::Input>>,
    pub(super) queue: Arc<str>,
    /// Whose processes these are: the part that is told the whole log takes its own out of it.
    pub(super) part: Consumer,
    pub(super) concurrency: usize,
}

impl<P: ProcessManager> Clone for Router<P> {
    fn clone(&self) -> Self {
        Self {
            repository: self.repository.clone(),
            timers: Arc::clone(&self.timers),
            inputs: Arc::clone(&self.inputs),
            queue: Arc::clone(&self.queue),
            part: self.part.clone(),
            concurrency: self.concurrency,
        }
    }
}

type Taken<P> = (Id<Process<P>>, ProcessCommand<<P as ProcessManager>::Input>);

impl<P: ProcessManager> Router<P> {
    /// Has each event be taken by its process, once; those of one process in the order of the log. Then wakes the processes.
    ///
    /// May be repeated: what was taken is not taken again, and is woken again, since nobody knows whether it was.
    pub(super) async fn route(&self, events: Vec<RecordedEvent>) -> Result<(), BoxError> {
        let mut by_process: HashMap<Uuid, Vec<Taken<P>>> = HashMap::new();
        for event in &events {
            if let Some((id, command)) = self.read(event)? {
                by_process.entry(id.uuid()).or_default().push((id, command));
            }
        }
        let taken = stream::iter(by_process.into_values().map(|inputs| self.take_all(inputs)));
        let woken: Vec<Option<Uuid>> = taken.buffer_unordered(self.concurrency).try_collect().await?;
        let woken: Vec<Uuid> = woken.into_iter().flatten().collect();
        for ids in woken.chunks(WOKEN_AT_ONCE) {
            self.timers.wake_timers(&self.queue, ids, self.timers.timer_clock()).await?;
        }
        Ok(())
    }

    fn read(&self, event: &RecordedEvent) -> Result<Option<Taken<P>>, Error> {
        let unfit = |error| {
            let name = format!("{} of {}", event.name(), event.aggregate_type());
            Error::codec(format!("the event {name} does not fit the process manager {}", P::TYPE), error)
        };
        let input = self.inputs.read(
            event.aggregate_type(),
            event.aggregate_id(),
            event.event_type(),
            event.schema_version(),
            event.payload(),
        );
        let Some(input) = input.map_err(unfit)? else { return Ok(None) };
        let Some(id) = P::correlate(&input).filter(|id| self.part.has(id.uuid())) else { return Ok(None) };
        let cause = Cause::Event { aggregate_id: event.aggregate_id(), sequence: event.sequence() };
        Ok(Some((id, ProcessCommand::Take { cause, input, at: event.recorded_at() })))
    }

    /// Has a process take its inputs, one after the other. Tells whether there may be something to do.
    async fn take_all(&self, inputs: Vec<Taken<P>>) -> Result<Option<Uuid>, BoxError> {
        let mut woken = None;
        for (id, command) in inputs {
            let ProcessCommand::Take { cause, .. } = &command else { continue };
            let key = IdempotencyKey::new(cause.to_string().replace(' ', ":"))?;
            let take = self.repository.execute(id, &command).idempotency_key(key).forgetting_rejections();
            let done = match take.await {
                Ok(done) => done,
                // Newer code takes it: until it has the lease this is waited out, like a store that is away.
                Err(ExecuteError::Rejected { rejection: newer @ ProcessFault::NewerDefinition { .. }, .. }) => {
                    return Err(Error::unavailable(newer).into());
                }
                Err(ExecuteError::Rejected { rejection, .. }) => return Err(rejection.into()),
                Err(ExecuteError::Store(error)) => return Err(error.into()),
            };
            telemetry::process_input(P::TYPE, done.replayed, done.events() > 0);
            if done.replayed || done.events() > 0 {
                woken = Some(id.uuid());
            }
        }
        Ok(woken)
    }
}

/// How many processes are woken with one statement.
const WOKEN_AT_ONCE: usize = 1_000;
