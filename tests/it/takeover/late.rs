//! A holder that is stopped, and goes on when another has long taken over.

use std::path::Path;

use annals::{Consumers, Projection, ProjectionStore, RunState, Work};

use super::{
    BATCH_EVENTS, LEASE, LONGEST_WAIT,
    deliveries::{Deliveries, Told},
    place::with_store,
    runner::{Lines, Runner},
    tallies::{self, Tallies},
    task::{Kind, Point, Task, Teller},
    writer::Writer,
};
use crate::faults::log_check::check_log;

/// More than a batch, and the holder is stopped in the first one.
const EVENTS: u64 = 3 * BATCH_EVENTS as u64;

/// The holder is stopped when it has been told so many.
const STOPPED_AT: u64 = 5;

/// Stops a holder at a point, lets another one take over and handle everything, and has the first one go on.
async fn stop_holder(place: &Path, point: Point) -> Told {
    let kind = if point == Point::Handler { Kind::Subscription } else { Kind::Projector };
    Deliveries::create(place).await;
    with_late_holder(place, kind, point).await;
    match kind {
        Kind::Subscription => Told::judge(place).await,
        Kind::Projector => tallies::judge(place).await,
    }
}

async fn with_late_holder(place: &Path, kind: Kind, point: Point) {
    with_store!(place, store => {
        take_over_from_stopped(&store, place, kind, point).await;
        check_log(&store).await;
        store.close().await;
    })
}

async fn take_over_from_stopped<S: ProjectionStore>(store: &S, place: &Path, kind: Kind, point: Point)
where
    Tallies: Projection<<S::Work as Work>::Connection>,
{
    let writer = Writer::start(store, 1, EVENTS);
    let last = writer.written().await;
    let mut lines = Lines::new();
    let task = Task::new(kind, LEASE, "late").hold(point, STOPPED_AT);
    let mut late = Runner::start(&task, place, &lines, || ());
    lines.hear("late", "holding").await;
    late.stop();

    let consumers = Consumers::new(store);
    let (end, ends) = tokio::sync::oneshot::channel::<()>();
    let next = Task::new(kind, LEASE, "next");
    let run = next.run(store, place, Teller::silent(), async { drop(ends.await) });
    let others = async {
        consumers.wait_until(kind.consumer(), last, LONGEST_WAIT).await.unwrap();
        let before = consumers.progress(kind.consumer()).await.unwrap().remove(0);
        assert_eq!(before.position, last);
        late.continue_();
        late.go_on();
        // It ends without an error: that another has the lease is nothing to stop for.
        late.end();
        let after = consumers.progress(kind.consumer()).await.unwrap().remove(0);
        assert_eq!(
            (after.position, after.moved_at),
            (before.position, before.moved_at),
            "it was moved by a late holder"
        );
        drop(end);
    };
    let (ran, ()) = tokio::join!(run, others);
    ran.unwrap();
    let ended = consumers.progress(kind.consumer()).await.unwrap().remove(0);
    assert_eq!((ended.state, ended.failure), (RunState::Stopped, None));
}

/// A holder of a subscription: what it was told before it was stopped, and at the most the rest of its batch, is told twice.
async fn stop_subscription(place: &Path) {
    let told = stop_holder(place, Point::Handler).await;
    println!("figures: {told}");
    let least = usize::try_from(STOPPED_AT).unwrap();
    assert!((least..=BATCH_EVENTS).contains(&told.duplicates()), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn store_068_a_late_holder_of_a_subscription_moves_no_checkpoint() {
    stop_subscription(super::place::File::create().await.place()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn store_068_a_late_holder_of_a_projector_applies_nothing_twice() {
    stop_holder(super::place::File::create().await.place(), Point::Effect).await;
}

#[cfg(feature = "postgres")]
mod postgres {
    use super::{Point, stop_holder, stop_subscription};
    use crate::postgres_server::Database;

    #[tokio::test(flavor = "multi_thread")]
    async fn store_068_a_late_holder_of_a_subscription_moves_no_checkpoint() {
        stop_subscription(Database::create().await.url().as_ref()).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn store_068_a_late_holder_of_a_projector_applies_nothing_twice() {
        stop_holder(Database::create().await.url().as_ref(), Point::Effect).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn store_068_a_holder_stopped_in_its_transaction_keeps_nobody_waiting_for_longer_than_its_lease() {
        stop_holder(Database::create().await.url().as_ref(), Point::Transaction).await;
    }
}
