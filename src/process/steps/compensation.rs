//! Undoing what a run has done, the last step first.

use std::{error::Error as StdError, fmt, pin::Pin, sync::Arc};

use serde::de::DeserializeOwned;
use tokio::time::sleep;

use super::{
    StepError, StepFailure, Steps,
    book::NEVER,
    failure::{BoxError, Kind},
    kept::{Kept, Role},
};
use crate::{
    domain::without_data,
    process::{patience::Pauses, telemetry},
    store::{IdempotencyKey, StepRecord, StepState},
};

/// How often a step is tried to be undone within an attempt.
const UNDO_TRIES: u32 = 5;

/// What is to be undone, and under which key.
#[non_exhaustive]
pub struct Undo<T> {
    /// For the call that undoes it: the same each time.
    pub key: IdempotencyKey,
    /// The key the step was called with.
    ///
    /// Where no result is known, what happened is found by it.
    pub action_key: IdempotencyKey,
    /// The result.
    ///
    /// `None`: the step was begun, and whether it has happened is not known.
    ///
    /// It may then have happened, may never happen, or may happen still, if the call is under way: have the service note that
    /// nothing is to happen under the key, or ask what has, by the same call with the same key.
    pub result: Option<T>,
}

impl<T> fmt::Debug for Undo<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Undo").field("has_result", &self.result.is_some()).finish_non_exhaustive()
    }
}

type Undone = Pin<Box<dyn Future<Output = Result<(), StepFailure>> + Send>>;
type Call = dyn Fn(Undo<&str>) -> Result<Undone, serde_json::Error> + Send + Sync;

/// How a step is undone, whatever its type.
#[derive(Clone)]
pub(super) struct Undoing(Arc<Call>);

impl Undoing {
    pub(super) fn new<T, F, U>(undo: F) -> Self
    where
        T: DeserializeOwned,
        F: Fn(Undo<T>) -> U + Send + Sync + 'static,
        U: Future<Output = Result<(), StepFailure>> + Send + 'static,
    {
        Self(Arc::new(move |Undo { key, action_key, result }| {
            let result = result.map(serde_json::from_str).transpose().map_err(without_data)?;
            Ok(Box::pin(undo(Undo { key, action_key, result })))
        }))
    }
}

impl fmt::Debug for Undoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Undoing")
    }
}

/// What a step asks for in a compensation.
enum Need {
    Nothing,
    /// It may have happened, but there is nothing to undo: it only must not happen any more.
    Closing(StepRecord),
    Undoing(StepRecord),
}

impl Steps {
    /// Undoes what was done: the last step first, each once.
    ///
    /// Steps that are done are undone, and so are those that were begun and whose outcome is unknown; a refused step and one
    /// without [`undo`](super::RunStep::undo) is passed over. While a step is undone it is recorded as such: after a crash the
    /// next attempt comes here again with the same code, gets the results that are recorded, and goes on where this one
    /// stopped. Until it has, no step is called that had not come to an end.
    ///
    /// Steps may follow, such as a notice to the customer: without `undo`.
    ///
    /// Steps that run side by side: wait for all of them (`join!`) before this. What is dropped half-way (`try_join!`) may still
    /// happen at the service, after it was undone.
    ///
    /// # Errors
    ///
    /// [`StepError::NotUndone`] after 5 tries; [`StepError::NotReached`]; [`StepError::Fenced`]; [`StepError::Store`]: end
    /// the attempt without an answer, and let the next one try.
    pub async fn compensate(&self) -> Result<(), StepError> {
        let _one_at_a_time = self.compensation().lock().await;
        self.book().open("compensate").await?;
        let Some(names) = self.book().begin_compensation() else { return Ok(()) };
        for name in &names {
            // Before any is undone: the order would be another.
            if matches!(self.need(name)?, Need::Undoing(_)) && self.undoing(name).is_none() {
                return Err(StepError::not_reached(name));
            }
        }
        for name in &names {
            match self.need(name)? {
                Need::Nothing => {}
                Need::Closing(record) => {
                    self.book().write(&StepRecord { state: StepState::Undone, ..record }).await?;
                }
                Need::Undoing(record) => self.undo(record).await?,
            }
        }
        self.book().finish_compensation();
        Ok(())
    }

    /// Sees to it that a step which was not begun is not begun any more, such as by whoever does not know that it is late.
    ///
    /// Before [`compensate`](Self::compensate), which has nothing to shut such a one out by.
    pub(in crate::process) async fn shut(&self, name: &str, is_undoable: bool) -> Result<(), StepError> {
        self.book().open(name).await?;
        self.book().shut(name, if is_undoable { Role::Undoable } else { Role::Plain }).await
    }

    fn need(&self, name: &str) -> Result<Need, StepError> {
        let Some(record) = self.book().record(name) else { return Ok(Need::Nothing) };
        let role = self.kept(&record)?.role;
        Ok(match (record.state, role) {
            (StepState::Refused | StepState::Undone, _) | (_, Role::Afterwards) | (StepState::Done, Role::Plain) => {
                Need::Nothing
            }
            (StepState::Begun, _) if record.ordinal == NEVER => Need::Closing(record),
            (_, Role::Plain) => Need::Closing(record),
            (_, Role::Undoable) => Need::Undoing(record),
        })
    }

    fn kept(&self, record: &StepRecord) -> Result<Kept, StepError> {
        Kept::read(record.result.as_deref()).map_err(|error| StepError::codec(&record.name, error))
    }

    async fn undo(&self, record: StepRecord) -> Result<(), StepError> {
        let record = if record.state == StepState::Undoing {
            record
        } else {
            self.book().write(&StepRecord { state: StepState::Undoing, ..record }).await?
        };
        if record.state != StepState::Undoing {
            return Ok(());
        }
        let name = &record.name;
        let (undoing, pauses) = self.undoing(name).ok_or_else(|| StepError::not_reached(name))?;
        let result = self.kept(&record)?.value;
        self.call_undo(name, &undoing, pauses, result.as_deref().map(|json| json.get())).await.map_err(|error| {
            telemetry::step_not_undone(name, &*error);
            StepError::not_undone(name, error)
        })?;
        self.book().write(&StepRecord { state: StepState::Undone, ..record }).await?;
        telemetry::step("undone");
        Ok(())
    }

    async fn call_undo(
        &self,
        name: &str,
        undoing: &Undoing,
        pauses: Pauses,
        result: Option<&str>,
    ) -> Result<(), BoxError> {
        let mut delays = pauses.begin();
        let mut tries = 1;
        loop {
            let undo = Undo { key: self.undo_key(name), action_key: self.action_key(name), result };
            let call = (undoing.0)(undo)?;
            let error: BoxError = match call.await.map_err(|failure| failure.0) {
                Ok(()) => return Ok(()),
                // It says no for good: to ask again is for whoever has looked into it.
                Err(Kind::Refused(_)) => return Err("the service refuses to undo it".into()),
                Err(Kind::Unknown(error) | Kind::Retryable(error)) => error,
            };
            telemetry::try_failed(name, true, tries, &*error as &(dyn StdError + 'static));
            if tries >= UNDO_TRIES {
                return Err(error);
            }
            tries += 1;
            sleep(delays.next().unwrap_or(pauses.longest)).await;
        }
    }
}
