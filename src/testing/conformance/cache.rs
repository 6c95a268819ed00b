//! Repositories that keep states, and those that do not: nobody can tell them apart by their answers.

use std::sync::Arc;

use super::{
    fixture::{Factory, fresh},
    sample::{assert_dense, at_once, key, stream, until_wait},
    tally::{Command, Event, Eventful, Happening, Rejection, Tally},
};
use crate::{
    command::{ExecuteError, Executed, Repository},
    domain::{Aggregate as _, Id},
    store::{Error, EventStore, ExpectedVersion, Fault},
};

/// A repository that keeps as many states as this; 0: none.
fn repository<S: EventStore + Clone + 'static>(store: &S, states: usize) -> Repository<Tally> {
    Repository::new(store).cached(states)
}

/// The state as a repository that has never been used folds it.
async fn folded(store: &Arc<dyn EventStore>, id: Id<Tally>) -> Tally {
    let mut state = Tally::default();
    for event in stream(&**store, id.uuid()).await {
        let event: Event = event.decode(&Tally::upcasters()).unwrap();
        state.evolve(&event);
    }
    state
}

/// A repository that has been used decides on what a fresh one sees, also after writes that failed.
pub async fn store_053_a_used_repository_decides_on_what_is_stored(factory: &dyn Factory) {
    let fixture = fresh(factory).await;
    let store = fixture.store();
    for states in [0, 1, 8] {
        let id = Id::<Tally>::new();
        let failure = || Error::Backend { fault: Fault::Io, detail: None, source: None };
        let eventful = Eventful::new(&store, []);
        let used = repository(&eventful, states);
        let mut sum = 0;
        for round in 1..=6 {
            // Not sent; sent, and the reply is an error all the same; sent.
            match round % 3 {
                1 => eventful.plan(Happening::Lost(failure())),
                2 => eventful.plan(Happening::ReplyLost(failure())),
                _ => {}
            }
            let ended = used.execute(id, &Command::add(round)).await;
            assert_eq!(ended.is_ok(), round % 3 == 0, "{ended:?}");
            sum += if round % 3 == 1 { 0 } else { round };
            assert_eq!(used.load(id).await.unwrap().state, folded(&store, id).await);
            assert_eq!(folded(&store, id).await.sum, sum);
            // What is decided shows the state it was decided on.
            let there = used.execute(id, &Command::take(1_000)).await.unwrap_err();
            assert_eq!(there.rejection(), Some(&Rejection::NotEnough { wanted: 1_000, there: sum }), "round {round}");
        }
        // Another aggregate in between: what is kept for one is never taken for another.
        let other = Id::<Tally>::new();
        used.execute(other, &Command::add(7)).await.unwrap();
        used.execute(id, &Command::take(sum)).await.unwrap();
        used.execute(other, &Command::take(7)).await.unwrap();
        assert_eq!((folded(&store, id).await.sum, folded(&store, other).await.sum), (0, 0));
    }
}

/// What another wrote is never hidden.
///
/// A pinned version is a conflict, everything else is decided on the new state.
pub async fn store_053_a_kept_state_hides_no_conflict(factory: &dyn Factory) {
    let fixture = fresh(factory).await;
    let store = fixture.store();
    for states in [0, 8] {
        let (here, elsewhere) = (repository(&store, states), repository(&store, states));
        let id = Id::<Tally>::new();
        here.execute(id, &Command::add(1)).await.unwrap();
        elsewhere.execute(id, &Command::add(4)).await.unwrap();
        let add = Command::add(1);
        let pinned = here.execute(id, &add).expected_version(ExpectedVersion::Exact(1)).await;
        assert!(
            matches!(&pinned, Err(ExecuteError::Store(Error::Conflict { actual: 2, .. }))),
            "the version seen last is gone: {pinned:?}"
        );
        // Rejected on the state that was kept; accepted on what is there.
        elsewhere.execute(id, &Command::add(5)).await.unwrap();
        here.execute(id, &Command::take(10)).await.expect("there are ten");
        elsewhere.execute(id, &Command::add(6)).await.unwrap();
        here.execute(id, &Command::take(6)).idempotency_key(key("k")).await.expect("there are six");
        // Accepted on the state that was kept; rejected on what is there, and recorded so.
        here.execute(id, &Command::add(3)).await.unwrap();
        elsewhere.execute(id, &Command::take(3)).await.unwrap();
        let late = here.execute(id, &Command::take(3)).idempotency_key(key("late")).await.unwrap_err();
        assert_eq!(late.rejection(), Some(&Rejection::NotEnough { wanted: 3, there: 0 }));
        assert_eq!(folded(&store, id).await.sum, 0);
    }
}

/// A retry is answered as the first time, whatever was kept and whoever keeps it.
pub async fn store_053_a_kept_state_hides_no_receipt(factory: &dyn Factory) {
    let fixture = fresh(factory).await;
    let store = fixture.store();
    let id = Id::<Tally>::new();
    let (here, elsewhere) = (repository(&store, 8), repository(&store, 8));
    here.execute(id, &Command::add(5)).await.unwrap();
    elsewhere.load(id).await.unwrap();
    let (take, nothing) = (Command::take(5), Command::nothing());
    let first = here.execute(id, &take).idempotency_key(key("take")).await.unwrap();
    let none = here.execute(id, &nothing).idempotency_key(key("nothing")).await.unwrap();
    let no = here.execute(id, &Command::take(9)).idempotency_key(key("no")).await.unwrap_err();
    elsewhere.execute(id, &Command::add(100)).await.unwrap();
    for repository in [&here, &elsewhere, &repository(&store, 8), &repository(&store, 0)] {
        let again = repository.execute(id, &take).idempotency_key(key("take")).await.unwrap();
        assert_eq!(again, Executed { replayed: true, ..first.clone() });
        let again = repository.execute(id, &nothing).idempotency_key(key("nothing")).await.unwrap();
        assert_eq!(again, Executed { replayed: true, ..none.clone() });
        let again = repository.execute(id, &Command::take(9)).idempotency_key(key("no")).await.unwrap_err();
        assert_eq!(again.rejection(), no.rejection(), "the rejection of the first time");
        let other = repository.execute(id, &Command::take(1)).idempotency_key(key("take")).await.unwrap_err();
        assert!(matches!(other.store_error(), Some(Error::KeyReused { .. })), "{other:?}");
        assert_eq!(folded(&store, id).await.sum, 100, "retries change nothing");
    }
}

/// Commands of many tasks on one aggregate, by repositories that keep its state.
///
/// Each has its effect, once.
pub async fn store_053_commands_on_one_aggregate_at_once_all_take_effect(factory: &dyn Factory) {
    let fixture = fresh(factory).await;
    let store = fixture.store();
    let id = Id::<Tally>::new();
    let repositories = [repository(&store, 8), repository(&store, 8), repository(&store, 0)];
    let answers = at_once(60, |task| {
        let tallies = repositories[task % 3].clone();
        async move {
            // Each twice under its key, and every fifth is a rejection.
            let command = if task % 5 == 0 { Command::take(1_000_000) } else { Command::add(1) };
            let name = key(&format!("task-{task}"));
            let first = tallies.execute(id, &command).idempotency_key(name.clone()).await;
            let again = tallies.execute(id, &command).idempotency_key(name).await;
            (first, again)
        }
    })
    .await;
    let mut versions = Vec::new();
    for (task, (first, again)) in answers.into_iter().enumerate() {
        match (first, again) {
            (Ok(first), Ok(again)) if task % 5 != 0 => {
                assert!(!first.replayed, "task {task} was carried out now");
                versions.push(first.version);
                assert_eq!(again, Executed { replayed: true, ..first });
            }
            (Err(first), Err(again)) if task % 5 == 0 => {
                assert!(first.rejection().is_some(), "task {task}: {first:?}");
                assert_eq!(first.rejection(), again.rejection());
            }
            other => panic!("task {task}: {other:?}"),
        }
    }
    versions.sort_unstable();
    assert_eq!(versions, (1..=48).collect::<Vec<_>>(), "each command has a version of its own");
    assert_dense(&stream(&*store, id.uuid()).await);
    assert_eq!(folded(&store, id).await, Tally { sum: 48, events: 48 });
}

/// A command that is dropped half-way leaves no state behind that the database does not have.
pub async fn store_053_a_dropped_command_leaves_no_wrong_state(factory: &dyn Factory) {
    let fixture = fresh(factory).await;
    let store = fixture.store();
    let id = Id::<Tally>::new();
    let tallies = repository(&store, 8);
    for round in 0..40 {
        let command = Command::add(1);
        let dropped = until_wait(tallies.execute(id, &command).into_future(), 1 + round / 8).await.is_none();
        let after = tallies.execute(id, &Command::take(1_000_000)).await.unwrap_err();
        let Some(Rejection::NotEnough { there, .. }) = after.rejection() else { panic!("{after:?}") };
        assert!(*there <= round + 1, "no command takes effect twice");
        if !dropped {
            assert_eq!(*there, folded(&store, id).await.sum, "a rejection is decided on what is stored");
        }
        let done = tallies.execute(id, &Command::add(0)).await.unwrap();
        assert_eq!(done.version, stream(&*store, id.uuid()).await.len() as u64, "and the next command is right");
    }
}
