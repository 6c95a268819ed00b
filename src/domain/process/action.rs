//! Steps as a process manager asks for them.

use serde::Serialize;
use serde_json::value::to_raw_value;

use super::StepWork;
use crate::domain::{Aggregate, Id};

/// A step that is to be taken: a command to an aggregate, or a call of a service.
///
/// Steps are taken one after the other, in the order they were asked for, each until its outcome is known. What it is sent
/// with is a key that follows from the process, the input that led to it and its place among what that input led to.
#[derive(Debug)]
#[must_use = "a step is taken when it is part of a reaction"]
pub struct Action {
    pub(super) name: String,
    pub(super) work: Result<StepWork, serde_json::Error>,
}

impl Action {
    /// A command to an aggregate.
    ///
    /// `name` names the step within its process: 1 to 100 bytes, used once.
    ///
    /// Done when the aggregate has accepted it, refused when it has rejected it.
    pub fn command<A: Aggregate>(name: impl Into<String>, id: Id<A>, command: &A::Command) -> Self {
        let work = to_raw_value(command).map(|command| StepWork::Command {
            aggregate_type: A::TYPE.to_owned(),
            aggregate_id: id.uuid(),
            command,
            undo: None,
        });
        Self { name: name.into(), work }
    }

    /// A call of a service, by the handler of the step's name.
    ///
    /// The request is what the handler gets: JSON. `name` as in [`command`](Self::command).
    pub fn call(name: impl Into<String>, request: &(impl Serialize + ?Sized)) -> Self {
        let name = name.into();
        let work =
            to_raw_value(request).map(|request| StepWork::Call { handler: name.clone(), request, undo_handler: None });
        Self { name, work }
    }

    /// Names the handler of a call, where it is not the step's name.
    pub fn by(mut self, name: impl Into<String>) -> Self {
        if let Ok(StepWork::Call { handler, .. }) = &mut self.work {
            *handler = name.into();
        }
        self
    }

    /// Names the handler that undoes a call.
    ///
    /// Nothing on a command: see [`undo`](Self::undo).
    pub fn undo_by(mut self, name: impl Into<String>) -> Self {
        if let Ok(StepWork::Call { undo_handler, .. }) = &mut self.work {
            *undo_handler = Some(name.into());
        }
        self
    }

    /// Sets the command that undoes a command, sent to the same aggregate.
    ///
    /// Sent only if the first was accepted: one whose outcome is not known is first seen to not being carried out any more.
    /// Nothing on a call: see [`undo_by`](Self::undo_by). It has to be a command of the same aggregate type.
    pub fn undo(mut self, command: &(impl Serialize + ?Sized)) -> Self {
        if let Ok(StepWork::Command { undo, .. }) = &mut self.work {
            match to_raw_value(command) {
                Ok(json) => *undo = Some(json),
                Err(error) => self.work = Err(error),
            }
        }
        self
    }
}
