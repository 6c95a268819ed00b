//! What a process manager reacts to.

use std::fmt;

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

/// Something that has happened, to which a process reacts once.
#[derive(Debug)]
pub enum Signal<'s, I> {
    /// An event of the log.
    Event(&'s I),
    /// A step is done.
    Done {
        /// Its name.
        step: &'s str,
        /// What it was answered. For a command to an aggregate: `null`.
        reply: Reply<'s>,
    },
    /// A step was refused for good, and has had no effect.
    Refused {
        /// Its name.
        step: &'s str,
        /// Why. For a command to an aggregate: its rejection.
        reply: Reply<'s>,
    },
    /// A timer has fired.
    Due {
        /// Its name.
        timer: &'s str,
    },
    /// After [`Reaction::compensate`](super::Reaction::compensate) everything was undone.
    ///
    /// Steps may follow that cannot be undone, such as a notice. When there are none left the process has ended.
    Undone {
        /// What the compensation was begun for.
        reason: &'s str,
    },
}

/// What a service answered, or an aggregate, as JSON.
///
/// `Debug` shows the length alone.
#[derive(Clone, Copy)]
pub struct Reply<'s>(pub(super) &'s RawValue);

impl<'s> Reply<'s> {
    /// The JSON.
    #[must_use]
    pub fn json(self) -> &'s str {
        self.0.get()
    }

    /// The answer as the type it had.
    ///
    /// # Errors
    ///
    /// It was another type.
    pub fn decode<T: DeserializeOwned>(self) -> Result<T, serde_json::Error> {
        serde_json::from_str(self.0.get())
    }
}

impl fmt::Debug for Reply<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reply({} bytes)", self.0.get().len())
    }
}
