//! An attempt in turn with others on the same aggregate.
//!
//! Commands that wait for one aggregate in one process need not fight: each is decided on the state that is kept, with
//! what is still on its way to the database, and goes right behind it. They share a commit, and each has an answer of
//! its own. An append that goes behind another says whose event it follows, so that it fails where that one does.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use super::{
    ExecuteError, Loaded,
    attempt::{Attempt, Decision, Ended, answer},
    cache::{Cache, Entry, Lane, Ticket},
    retry::Attempts,
    send::send_command,
};
use crate::{
    domain::Aggregate,
    store::{Append, Appended, Error},
};

/// An append on its way to the database.
struct Departed<'s, A: Aggregate> {
    sending: Pin<Box<dyn Future<Output = Result<Appended, Error>> + Send + 's>>,
    /// The answer, where it was there at once.
    answer: Option<Result<Appended, Error>>,
    /// What the lane knows of it; nothing where it goes past the lane.
    ticket: Option<Ticket<A>>,
}

/// Attempts a command once.
pub(super) async fn make<A: Aggregate>(
    attempt: &Attempt<'_, '_, A>,
    cache: &Cache<A>,
    attempts: &mut Attempts,
) -> Ended<A> {
    let lane = attempt.lane(cache);
    if let Some(departed) = depart_from_kept(attempt, &lane, attempts) {
        match arrive(attempt, &lane, departed).await {
            // The state may have been an old one: then what has the same id there can be an earlier request under the
            // same key, whose receipt has expired. What is read now will tell.
            Err(ExecuteError::Store(Error::KeyReused { .. })) => {}
            ended => return ended,
        }
    }
    let (loaded, read) = attempt.read(lane.take_settled()).await?;
    // Where the receipt was the answer nothing else was read.
    let is_stale = loaded.version < read.version;
    match attempt.decide_read(&loaded, read.receipt).await {
        Ok(Decision::Append(append, events)) => {
            let departed = depart_from_read(attempt, &lane, loaded, (*append, events), attempts);
            arrive(attempt, &lane, departed).await
        }
        Ok(Decision::Ended(ended)) => {
            lane.keep(loaded, is_stale);
            ended
        }
        Err(error) => {
            lane.keep(loaded, is_stale);
            Err(error.into())
        }
    }
}

/// Decides on the state that is kept, if that can be relied on: an append is checked by the database, but a rejection,
/// or nothing to do, that is not written anywhere could be due to an old state.
fn depart_from_kept<'s, A: Aggregate>(
    attempt: &Attempt<'_, 's, A>,
    lane: &Arc<Lane<A>>,
    attempts: &'s mut Attempts,
) -> Option<Departed<'s, A>> {
    let mut kept = lane.lock();
    let entry = kept.as_mut()?;
    let decided = decide_on_kept(attempt, entry, 0)?;
    Some(depart(attempt, lane, entry, decided, attempts))
}

/// The append a command leads to on the state that is kept, if that has come to this version at the least.
fn decide_on_kept<A: Aggregate>(
    attempt: &Attempt<'_, '_, A>,
    entry: &mut Entry<A>,
    at_least: u64,
) -> Option<(Append, Vec<A::Event>)> {
    let current = entry.current().filter(|current| current.version >= at_least)?;
    let Ok(Decision::Append(mut append, events)) = attempt.decide(current, None) else {
        return None;
    };
    append.follows = entry.follows();
    Some((*append, events))
}

/// Decides on a state that was just read, and keeps it.
fn depart_from_read<'s, A: Aggregate>(
    attempt: &Attempt<'_, 's, A>,
    lane: &Arc<Lane<A>>,
    loaded: Loaded<A>,
    decided: (Append, Vec<A::Event>),
    attempts: &'s mut Attempts,
) -> Departed<'s, A> {
    let mut kept = lane.lock();
    if let Some(entry) = kept.as_mut() {
        // Somebody else was faster: this goes behind them, where it leads to an append there as well.
        if let Some(decided) = decide_on_kept(attempt, entry, loaded.version) {
            return depart(attempt, lane, entry, decided, attempts);
        }
        // If they wrote, this decision is an old one, and the database will say so.
        return Departed {
            sending: Box::pin(send_command(attempt.store(), decided.0, attempts)),
            answer: None,
            ticket: None,
        };
    }
    let entry = kept.insert(lane.entry_of(loaded));
    depart(attempt, lane, entry, decided, attempts)
}

/// Sends an append off while the lane is held, so that appends reach the queue in the order they were decided in.
///
/// The first poll takes it there. Were a store to do otherwise, appends out of order would meet conflicts and be
/// decided again.
fn depart<'s, A: Aggregate>(
    attempt: &Attempt<'_, 's, A>,
    lane: &Arc<Lane<A>>,
    entry: &mut Entry<A>,
    (append, events): (Append, Vec<A::Event>),
    attempts: &'s mut Attempts,
) -> Departed<'s, A> {
    let ticket = Some(entry.depart(lane, attempt.command_id(), events));
    let mut sending = Box::pin(send_command(attempt.store(), append, attempts));
    let answer = match sending.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => Some(answer),
        Poll::Pending => None,
    };
    Departed { sending, answer, ticket }
}

/// Waits for the answer, and tells the lane.
async fn arrive<A: Aggregate>(attempt: &Attempt<'_, '_, A>, lane: &Lane<A>, departed: Departed<'_, A>) -> Ended<A> {
    let Departed { sending, answer: at_once, ticket } = departed;
    let sent = match at_once {
        Some(answer) => answer,
        None => sending.await,
    };
    if let Some(ticket) = ticket {
        match &sent {
            Ok(appended) if !appended.replayed => ticket.committed(),
            // It was there before, or its first reply was lost: what else is there has to be read.
            Ok(_) => ticket.failed().into_iter().for_each(|before| lane.keep(before, true)),
            Err(Error::Conflict { .. }) => ticket.failed().into_iter().for_each(|before| lane.keep(before, true)),
            Err(_) => drop(ticket.failed()),
        }
    }
    answer::<A>(&sent.map_err(|error| attempt.as_pinned(error))?)
}
