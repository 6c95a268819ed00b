//! A runner that is told to end in the middle of a long way.

use std::{path::Path, time::Duration};

use annals::{Consumers, Projection, ProjectionStore, RunState, Work};
use tokio::time::{Instant, timeout};

use super::{
    LONGEST_WAIT,
    deliveries::{Deliveries, Told},
    place::with_store,
    runner::{Lines, Runner},
    tallies::{self, Tallies},
    task::{Kind, Task, Teller},
    writer::Writer,
};

/// A lease that nobody waits for: it is let go of, or the test stalls.
const LONG_LEASE: Duration = Duration::from_mins(5);

/// Events that were there before.
const EVENTS: u64 = 2_000;

/// It is told to end after so many.
const TOLD: u64 = 300;

/// Ending may take so long: a batch's time, and what a slow machine adds to it.
const SOON: Duration = Duration::from_secs(20);

/// Ends a process half-way, and lets another take the rest. What was told by both.
async fn end_half_way(place: &Path, kind: Kind) {
    Deliveries::create(place).await;
    run_in_two_parts(place, kind).await;
    let told = match kind {
        Kind::Subscription => Told::judge(place).await,
        Kind::Projector => tallies::judge(place).await,
    };
    assert_eq!(told.duplicates(), 0, "{told}");
}

async fn run_in_two_parts(place: &Path, kind: Kind) {
    with_store!(place, store => {
        take_the_rest(&store, place, kind).await;
        store.close().await;
    })
}

async fn take_the_rest<S: ProjectionStore>(store: &S, place: &Path, kind: Kind)
where
    Tallies: Projection<<S::Work as Work>::Connection>,
{
    let writer = Writer::start(store, 1, EVENTS);
    writer.need_not_wait();
    let last = writer.written().await;
    let mut lines = Lines::new();
    let first = Runner::start(&Task::new(kind, LONG_LEASE, "first"), place, &lines, || ());
    for _ in 0..TOLD {
        lines.hear("first", "told").await;
    }
    let began = Instant::now();
    first.end();
    assert!(began.elapsed() < SOON, "it took {:?} to end", began.elapsed());

    let consumers = Consumers::new(store);
    let stopped = consumers.progress(kind.consumer()).await.unwrap().remove(0);
    assert_eq!((&stopped.state, stopped.crashes), (&RunState::Stopped, 0));
    assert!(!stopped.is_caught_up(), "it was to be ended half-way");
    let (end, ends) = tokio::sync::oneshot::channel::<()>();
    let second = Task::new(kind, LONG_LEASE, "second");
    let run = second.run(store, place, Teller::silent(), async { drop(ends.await) });
    let caught_up = async {
        consumers.wait_until(kind.consumer(), last, LONGEST_WAIT).await.unwrap();
        drop(end);
    };
    let (ran, ()) =
        timeout(LONGEST_WAIT, async { tokio::join!(run, caught_up) }).await.expect("the lease was let go of");
    ran.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn store_077_a_subscription_told_to_end_lets_go_at_once_and_tells_nothing_twice() {
    end_half_way(super::place::File::create().await.place(), Kind::Subscription).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn store_077_a_projector_told_to_end_lets_go_at_once_and_applies_nothing_twice() {
    end_half_way(super::place::File::create().await.place(), Kind::Projector).await;
}

#[cfg(feature = "postgres")]
mod postgres {
    use super::{Kind, end_half_way};
    use crate::postgres_server::Database;

    #[tokio::test(flavor = "multi_thread")]
    async fn store_077_a_subscription_told_to_end_lets_go_at_once_and_tells_nothing_twice() {
        end_half_way(Database::create().await.url().as_ref(), Kind::Subscription).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn store_077_a_projector_told_to_end_lets_go_at_once_and_applies_nothing_twice() {
        end_half_way(Database::create().await.url().as_ref(), Kind::Projector).await;
    }
}
