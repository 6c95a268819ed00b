//! Sending an append until it is known what became of it.

use super::retry::{Attempts, Retry};
use crate::store::{Append, Appended, Error, EventStore, EventStoreExt as _};

/// Writes ready-made events, for those who model without aggregates: sends the append until its fate is known.
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
/// As for [`EventStore::append`]. [`Error::OutcomeUnknown`] only after the bounds of `retry`: keep the append and send
/// it again later.
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
        let is_answer = match &error {
            // Its predecessor is not there either: both may still come.
            Error::Conflict { actual, .. } => !may_be_written || Some(*actual) >= append.expected.named(),
            Error::KeyReused { .. } | Error::Invalid { .. } => true,
            _ => false,
        };
        if is_answer {
            return Err(error);
        }
        let can_ask_again = error.is_conflict() || error.is_outcome_unknown() || error.is_retryable();
        // Whatever hinders the question leaves the answer unknown.
        let error = if may_be_written { Error::outcome_unknown(error) } else { error };
        if !can_ask_again {
            return Err(error);
        }
        attempts.pause_after(error).await?;
    }
}
