//! What is to be done about a signal.

use chrono::{DateTime, Utc};

use super::Action;

/// Says what is to be done about a signal.
///
/// It is recorded as a whole, before anything of it is done.
#[derive(Debug)]
#[must_use = "a reaction is returned from `react`"]
pub struct Reaction<E> {
    pub(super) events: Vec<E>,
    pub(super) actions: Vec<Action>,
    pub(super) timers: Vec<(String, Option<DateTime<Utc>>)>,
    pub(super) end: End,
}

/// Whether the process comes to its end.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    GoOn,
    Complete,
    Compensate { reason: String },
}

impl<E> Reaction<E> {
    /// Nothing is to be done.
    pub const fn nothing() -> Self {
        Self { events: Vec::new(), actions: Vec::new(), timers: Vec::new(), end: End::GoOn }
    }

    /// Everything that was done is to be undone; then the process ends.
    ///
    /// The last step first, each once.
    ///
    /// Steps that were planned and not begun are not taken any more, timers are cancelled. Shown to operators: `reason`, up to
    /// 1,000 bytes.
    pub fn compensate(reason: impl Into<String>) -> Self {
        Self { end: End::Compensate { reason: reason.into() }, ..Self::nothing() }
    }

    /// Records an event of the process's own.
    pub fn record(mut self, event: E) -> Self {
        self.events.push(event);
        self
    }

    /// Has a step be taken, after those that were planned before.
    pub fn then(mut self, action: Action) -> Self {
        self.actions.push(action);
        self
    }

    /// Sets a timer, or moves the one of this name: 1 to 100 bytes.
    ///
    /// It fires at that time or soon after, once: [`Signal::Due`](super::Signal::Due).
    pub fn set_timer(mut self, name: impl Into<String>, due_at: DateTime<Utc>) -> Self {
        self.timers.push((name.into(), Some(due_at)));
        self
    }

    /// Cancels a timer. One that has fired, or was never set, is no matter.
    pub fn cancel_timer(mut self, name: impl Into<String>) -> Self {
        self.timers.push((name.into(), None));
        self
    }

    /// Completes the process, as soon as no step is left to be taken.
    ///
    /// Until then it goes on as before. Its timers are cancelled with it.
    pub fn complete(mut self) -> Self {
        if self.end == End::GoOn {
            self.end = End::Complete;
        }
        self
    }
}
