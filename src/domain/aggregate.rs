//! What a user writes: state, commands in, events out.

use std::error::Error;

use serde::{Serialize, de::DeserializeOwned};

use super::Upcasters;

/// Models a consistency boundary: the implementing type is its state.
///
/// The model is a *decider*: [`decide`](Self::decide) says which events a command leads to, [`evolve`](Self::evolve)
/// folds an event into the state. Both are pure and synchronous, so the store may call them again whenever it has to:
/// after a conflict, after a lost reply, when it replays history. Data from outside that a decision needs (the time, a
/// price) is put into the command beforehand.
///
/// The decider is Jérémie Chassaing's *Functional Event Sourcing Decider* (2021).
///
/// ```
/// use annals::Aggregate;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Debug, Default)]
/// struct Counter(u64);
///
/// #[derive(Debug, Serialize)]
/// enum Command { Add(u64) }
///
/// #[derive(Debug, PartialEq, Serialize, Deserialize)]
/// #[serde(tag = "type", content = "data", rename_all = "kebab-case")]
/// enum Event { Added { by: u64 } }
///
/// #[derive(Debug, PartialEq, Serialize, Deserialize, thiserror::Error)]
/// enum Rejection {
///     #[error("adding nothing is not worth an event")]
///     Nothing,
/// }
///
/// impl Aggregate for Counter {
///     const TYPE: &'static str = "counter";
///     type Command = Command;
///     type Event = Event;
///     type Rejection = Rejection;
///
///     fn decide(&self, command: &Command) -> Result<Vec<Event>, Rejection> {
///         match command {
///             Command::Add(0) => Err(Rejection::Nothing),
///             Command::Add(by) => Ok(vec![Event::Added { by: *by }]),
///         }
///     }
///
///     fn evolve(&mut self, event: &Event) {
///         match event {
///             Event::Added { by } => self.0 += by,
///         }
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an aggregate",
    label = "needs `impl Aggregate for {Self}`",
    note = "implement `annals::Aggregate` for the state type: `TYPE`, `Command`, `Event`, `Rejection`, `decide` and `evolve`"
)]
pub trait Aggregate: Default + Send + Sync + 'static {
    /// The kind of aggregate, as it is stored: kebab-case, 1 to 64 bytes, never renamed.
    ///
    /// A name that is not kebab-case fails to compile where a `Repository` or an [`Id`](crate::Id) is made.
    const TYPE: &'static str;

    /// What can be asked of the aggregate.
    ///
    /// Its canonical JSON is, by default, the request that is fingerprinted under an idempotency key.
    type Command: Serialize + Send + Sync;

    /// What can have happened to the aggregate.
    ///
    /// An enum with `#[serde(tag = "type", content = "data")]`: the tag is stored as the event's type, the content as
    /// its payload; a variant without fields stores `null`.
    type Event: Serialize + DeserializeOwned + Send + Sync;

    /// The domain's no. It is stored under the command's key and comes back as the same typed value.
    type Rejection: Error + Serialize + DeserializeOwned + Send + Sync + 'static;

    /// Decides what a command leads to: events, nothing at all, or a rejection.
    ///
    /// # Errors
    ///
    /// The rejection, where the command does not fit the state. It is shown to whoever sent the command; sending the
    /// same command under the same key again returns the same rejection.
    fn decide(&self, command: &Self::Command) -> Result<Vec<Self::Event>, Self::Rejection>;

    /// Folds one event into the state. What has happened has happened: this cannot fail.
    fn evolve(&mut self, event: &Self::Event);

    /// Lifts old shapes of stored events to today's. None by default.
    fn upcasters() -> Upcasters {
        Upcasters::none()
    }
}

/// Tells whether a name can be an aggregate type: kebab-case, 1 to 64 bytes.
///
/// Lower-case ASCII letters and digits in words joined by single hyphens, beginning with a letter.
#[must_use]
pub const fn is_valid_type_name(name: &str) -> bool {
    let bytes = name.as_bytes();
    if bytes.is_empty() || bytes.len() > 64 || !bytes[0].is_ascii_lowercase() {
        return false;
    }
    let mut at = 0;
    while at < bytes.len() {
        let byte = bytes[at];
        let word = byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let joint = byte == b'-' && at + 1 < bytes.len() && bytes[at + 1] != b'-';
        if !word && !joint {
            return false;
        }
        at += 1;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::is_valid_type_name;

    #[test]
    fn type_names_are_kebab_case() {
        for good in ["order", "credit-note", "a1-b2"] {
            assert!(is_valid_type_name(good), "{good} is kebab-case");
        }
        let long = "x".repeat(65);
        for bad in ["", "Order", "1st", "-a", "a-", "a--b", "a_b", "a b", "é", long.as_str()] {
            assert!(!is_valid_type_name(bad), "{bad:?} is not kebab-case");
        }
    }
}
