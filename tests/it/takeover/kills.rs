//! Two processes run one consumer, and whoever holds the lease is killed, again and again.

use std::path::Path;

use annals::{CheckpointStore, Consumers, RunState};

use super::{
    BATCH_EVENTS, LEASE, LONGEST_WAIT,
    deliveries::{Deliveries, Told},
    fence,
    place::with_store,
    runner::{Lines, Runner},
    tallies,
    task::{Kind, Task},
    writer::Writer,
};
use crate::{campaign, faults::log_check::check_log};

/// How often a holder is killed.
const KILLS: u32 = 20;

/// A holder is told so many events at the most before it is killed.
const EVENTS_BEFORE_A_KILL: u64 = 120;

/// Two processes at a time.
struct Pair<'p, S> {
    store: &'p S,
    place: &'p Path,
    kind: Kind,
    lines: Lines,
    running: Vec<Runner>,
    started: u32,
}

impl<S: CheckpointStore + Clone> Pair<'_, S> {
    /// Starts another process, under a name that none before had.
    fn start(&mut self, told: impl Fn() + Send + 'static) {
        let task = Task::new(self.kind, LEASE, &format!("child {}", self.started));
        self.running.push(Runner::start(&task, self.place, &self.lines, told));
        self.started += 1;
    }

    /// Waits until one of them holds the lease.
    async fn holder(&mut self) -> usize {
        loop {
            let progress = Consumers::new(self.store).progress(self.kind.consumer()).await.unwrap();
            if let Some(RunState::Running { owner }) = progress.first().map(|progress| &progress.state)
                && let Some(holding) = self.running.iter().position(|runner| runner.is(owner))
            {
                return holding;
            }
            self.lines.next().await;
        }
    }

    /// Kills whoever holds the lease, somewhere after a random number of events.
    async fn kill_holder(&mut self, random: &mut fastrand::Rng) {
        loop {
            let holding = self.holder().await;
            for _ in 0..random.u64(1..=EVENTS_BEFORE_A_KILL) {
                self.lines.next().await;
            }
            self.lines.pause(random).await;
            // On a slow machine the lease may have lapsed meanwhile.
            if self.holder().await == holding {
                return self.running.swap_remove(holding).kill();
            }
        }
    }
}

/// Kills holders while events are written, lets the last ones catch up and end, and gives how often the lease was taken over.
async fn kill_under_load<S: CheckpointStore + Clone + 'static>(
    store: &S,
    place: &Path,
    kind: Kind,
    (kills, seed): (u32, u64),
) -> u64 {
    let mut random = fastrand::Rng::with_seed(seed);
    let writer = Writer::start(store, seed, u64::MAX);
    let mut pair = Pair { store, place, kind, lines: Lines::new(), running: Vec::new(), started: 0 };
    (0..2).for_each(|_| pair.start(writer.told()));
    pair.holder().await;
    let first = fence(store, kind).await.unwrap();
    for _ in 0..kills {
        pair.kill_holder(&mut random).await;
        pair.start(writer.told());
    }
    let last = writer.end().await;
    Consumers::new(store).wait_until(kind.consumer(), last, LONGEST_WAIT).await.unwrap();
    for runner in pair.running {
        runner.end();
    }
    let progress = Consumers::new(store).progress(kind.consumer()).await.unwrap().remove(0);
    assert_eq!((progress.is_caught_up(), progress.state, progress.failure), (true, RunState::Stopped, None));
    fence(store, kind).await.unwrap() - first
}

async fn kill_holders(place: &Path, kind: Kind) {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let kills = campaign::sized(KILLS);
    Deliveries::create(place).await;
    let take_overs = with_killed_holders(place, kind, (kills, seed)).await;
    let told = match kind {
        Kind::Subscription => Told::judge(place).await,
        Kind::Projector => tallies::judge(place).await,
    };
    println!("figures: {kind:?} kills={kills} take_overs={take_overs} {told}");
    // Each of those that were killed had taken the lease, and so has the last.
    assert!(
        take_overs >= u64::from(kills),
        "the lease was taken over {take_overs} times, and {kills} holders were killed"
    );
    let most = usize::try_from(take_overs).unwrap() * BATCH_EVENTS;
    assert!(told.duplicates() <= most, "{} events were told again", told.duplicates());
}

async fn with_killed_holders(place: &Path, kind: Kind, campaign: (u32, u64)) -> u64 {
    with_store!(place, store => {
        let take_overs = kill_under_load(&store, place, kind, campaign).await;
        check_log(&store).await;
        store.close().await;
        take_overs
    })
}

mod sqlite {
    use super::{super::place::File, Kind, kill_holders};

    async fn on_a_file(kind: Kind) {
        let file = File::create().await;
        kill_holders(file.place(), kind).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn store_099_killed_holders_of_a_subscription_lose_no_event_and_keep_the_order() {
        on_a_file(Kind::Subscription).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn store_099_killed_holders_of_a_projector_apply_every_event_once() {
        on_a_file(Kind::Projector).await;
    }
}

#[cfg(feature = "postgres")]
mod postgres {
    use super::{Kind, kill_holders};
    use crate::postgres_server::Database;

    async fn on_a_server(kind: Kind) {
        let database = Database::create().await;
        kill_holders(database.url().as_ref(), kind).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn store_099_killed_holders_of_a_subscription_lose_no_event_and_keep_the_order() {
        on_a_server(Kind::Subscription).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn store_099_killed_holders_of_a_projector_apply_every_event_once() {
        on_a_server(Kind::Projector).await;
    }
}
