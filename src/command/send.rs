//! Sending an append until it is known what became of it.

use super::retry::{Attempts, Retry};
use crate::store::{Append, Appended, Error, EventStore, EventStoreExt as _, ExpectedVersion};

/// Writes ready-made events, for those who model without aggregates.
///
/// Sends the append until its fate is known.
///
/// A database that is busy or away is asked again, with pauses, within the bounds of `retry`; so is one whose reply was
/// lost, by sending the very same append, which is written once.
///
/// ```
/// # async fn example(store: impl annals::EventStore, append: annals::Append) -> Result<(), annals::Error> {
/// let appended = annals::append(&store, append, annals::Retry::default()).await?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// As for [`EventStore::append`]. [`Error::OutcomeUnknown`] where the bounds of `retry` were reached, or where the
/// store's answer to the question leaves it open: keep the append and send it again later.
pub async fn append(store: &dyn EventStore, append: Append, retry: Retry) -> Result<Appended, Error> {
    send(store, append, &mut retry.begin("append")).await
}

/// Sends until the answer is final. An attempt whose reply was lost is frozen: sending it again *is* the question.
pub(super) async fn send(store: &dyn EventStore, append: Append, attempts: &mut Attempts) -> Result<Appended, Error> {
    let mut may_be_written = false;
    loop {
        let error = match store.append_one(append.clone()).await {
            Err(error) => error,
            Ok(appended) => return Ok(appended),
        };
        may_be_written |= error.is_outcome_unknown();
        if !may_be_written && !error.is_retryable() || is_answer(&error, append.expected) {
            return Err(error);
        }
        let can_ask_again = error.is_conflict() || error.is_outcome_unknown() || error.is_retryable();
        // Whatever hinders the question leaves the answer unknown.
        let error = if may_be_written && !error.is_outcome_unknown() { Error::outcome_unknown(error) } else { error };
        if !can_ask_again {
            return Err(attempts.give_up(error));
        }
        attempts.pause_after(error).await?;
    }
}

/// Sends the append of a command, as [`send`] does, and tells an answer of its own from one that was there before.
///
/// Without a key nobody else knows the command id: what is found under it was written by this call, its reply lost.
pub(super) async fn send_command(
    store: &dyn EventStore,
    append: Append,
    attempts: &mut Attempts,
) -> Result<Appended, Error> {
    let is_keyed = append.key.is_some();
    let mut appended = send(store, append, attempts).await?;
    appended.replayed &= is_keyed;
    Ok(appended)
}

/// Tells whether an error says what became, and will become, of an append whose earlier attempt may still arrive.
fn is_answer(error: &Error, expected: ExpectedVersion) -> bool {
    match error {
        // Its place is taken: the attempt is dead for ever. A version that is yet to come, or a first event that is
        // still missing, may be there when the attempt arrives.
        Error::Conflict { actual, .. } => expected.named().is_some_and(|version| version <= *actual),
        // Somebody else's: the attempt cannot be written either.
        Error::KeyReused { .. } | Error::Invalid { .. } => true,
        _ => false,
    }
}
