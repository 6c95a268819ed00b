//! What a relay does, against a broker that does as it is told.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use annals::{
    Append, Attempts, CheckpointStore, Consumer, Consumers, Error, NewEvent, OnFailure, Position, RecordedEvent,
    RunState, Selection, Transactional, Work as _,
    process::{Publisher, Relay},
    store::{EventStoreExt as _, LogQuery},
};
use tokio::{sync::oneshot, task::JoinHandle, time::timeout};
use uuid::Uuid;

use super::{
    LEASE, PATIENCE,
    broker::{Broker, Fate},
    on_every_place, relay, until, write,
};

on_every_place! {
    http_k11_a_relay_killed_between_publishing_and_marking_sends_the_same_ids_again
    store_082_an_event_and_its_message_are_one_row
    messages_leave_in_order_per_aggregate_whatever_is_lost_on_the_way
    the_checkpoint_moves_behind_what_was_acknowledged_with_all_before_it
    while_the_receiver_is_away_the_lease_is_kept_and_the_lag_is_seen
    a_relay_that_waits_ends_when_it_is_told_to
    a_refused_message_is_sent_once_and_its_aggregate_waits_behind_it
    a_message_at_which_the_receiver_fails_is_sent_as_often_as_it_may
    a_receiver_that_is_gone_ends_the_relay
    of_two_relays_one_publishes_and_the_other_takes_over
    partitions_publish_every_message_once
    a_selection_is_published_and_the_rest_is_passed_over
    a_publisher_that_does_not_answer_for_every_message_ends_the_relay
}

/// A relay that runs in a task of its own.
struct Running {
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<Result<(), Error>>,
}

impl Running {
    fn start<S: CheckpointStore + Clone + 'static>(relay: Relay<S>) -> Self {
        let (stop, stopped) = oneshot::channel();
        let shutdown = async {
            // Dropped: it runs for ever.
            if stopped.await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        Self { stop: Some(stop), task: tokio::spawn(async move { relay.run(shutdown).await }) }
    }

    async fn stop(mut self) {
        let _ = self.stop.take().unwrap().send(());
        timeout(PATIENCE, self.task).await.expect("it stops").unwrap().unwrap();
    }

    /// Ends it as a crash would.
    async fn kill(self) {
        self.task.abort();
        drop(self.task.await);
    }

    async fn ended(self) -> Result<(), Error> {
        timeout(PATIENCE, self.task).await.expect("it ends by itself").unwrap()
    }
}

async fn names<S: CheckpointStore>(store: &S) -> Vec<String> {
    store.collect_log(&LogQuery::all()).await.unwrap().iter().map(RecordedEvent::name).collect()
}

async fn position<S: CheckpointStore>(store: &S) -> Position {
    let checkpoint = store.checkpoint(&Consumer::new("out").unwrap()).await.unwrap();
    checkpoint.map_or(Position::START, |checkpoint| checkpoint.cursor.position)
}

async fn http_k11_a_relay_killed_between_publishing_and_marking_sends_the_same_ids_again<S>(store: S)
where
    S: CheckpointStore + Clone + 'static,
{
    let id = Uuid::now_v7();
    write(&store, id, 0..3).await;
    let broker = Broker::that(|message| if message.sequence() == 2 { Fate::Silent } else { Fate::Stored });
    let running = Running::start(relay(&store, &broker));
    broker.has_been_sent(2).await;
    running.kill().await;
    assert_eq!(position(&store).await, Position::START, "nothing was marked");
    let before = broker.sent();
    broker.does(|_| Fate::Stored);
    relay(&store, &broker).catch_up().await.unwrap();
    let again: Vec<_> = broker.sent().split_off(before.len());
    assert_eq!(again[..2], before, "the same messages, byte by byte, before anything later");
    assert_eq!(broker.stored_ids(), names(&store).await, "who knows ids has each once");
    assert_eq!(broker.stored_ids()[1], format!("{id}-2"));
}

async fn store_082_an_event_and_its_message_are_one_row<S>(store: S)
where
    S: CheckpointStore + Transactional + Clone + 'static,
{
    let id = Uuid::now_v7();
    let append = |number: u64| Append::new("notebook", id).events([NewEvent::new("noted", &number).unwrap()]);
    let broker = Broker::new();
    let mut work = store.begin().await.unwrap();
    work.append(&append(1)).await.unwrap();
    drop(work);
    relay(&store, &broker).catch_up().await.unwrap();
    assert!(broker.sent().is_empty(), "what was rolled back has no message");
    let mut work = store.begin().await.unwrap();
    work.append(&append(2)).await.unwrap();
    work.commit().await.unwrap();
    // Nobody was there at the commit.
    relay(&store, &broker).catch_up().await.unwrap();
    assert_eq!(broker.stored_ids(), names(&store).await, "what was committed has one");
    assert_eq!(broker.stored()[0].event().payload(), "2");
}

async fn messages_leave_in_order_per_aggregate_whatever_is_lost_on_the_way<S>(store: S)
where
    S: CheckpointStore + Clone + 'static,
{
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let ids: Vec<_> = (0..12).map(|_| Uuid::now_v7()).collect();
    let mut random = fastrand::Rng::with_seed(seed);
    for number in 0..120 {
        write(&store, ids[random.usize(..ids.len())], number..number + 1 + random.u64(..3)).await;
    }
    let broker = Broker::that(move |_| match random.u32(..12) {
        0 => Fate::AckLost,
        1 => Fate::Away,
        _ => Fate::Stored,
    });
    let relay = relay(&store, &broker).batch_events(40);
    timeout(PATIENCE * 2, relay.catch_up()).await.expect("it gets on").unwrap();
    broker.assert_order();
    let mut stored = broker.stored_ids();
    let mut written = names(&store).await;
    assert!(broker.sent().len() > written.len(), "something was lost on the way");
    stored.sort_unstable();
    written.sort_unstable();
    assert_eq!(stored, written, "each message is there");
}

async fn the_checkpoint_moves_behind_what_was_acknowledged_with_all_before_it<S>(store: S)
where
    S: CheckpointStore + Clone + 'static,
{
    let (first, second) = (Uuid::now_v7(), Uuid::now_v7());
    let acknowledged = write(&store, first, 0..1).await;
    write(&store, second, 0..1).await;
    write(&store, first, 1..2).await;
    let broker =
        Broker::that(move |message| if message.aggregate_id() == second { Fate::AckLost } else { Fate::Stored });
    let running = Running::start(relay(&store, &broker));
    until("the checkpoint has moved", async || position(&store).await == acknowledged).await;
    broker.has_been_sent(5).await;
    assert_eq!(position(&store).await, acknowledged, "behind what comes before the one that is not acknowledged");
    broker.does(|_| Fate::Stored);
    let head = store.head().await.unwrap();
    relay(&store, &broker).wait_until(head, PATIENCE).await.unwrap();
    running.stop().await;
    let once = broker.sent().iter().filter(|message| message.aggregate_id() == first).count();
    assert_eq!(once, 2, "what was acknowledged is not sent again, wherever the checkpoint stands");
}

async fn while_the_receiver_is_away_the_lease_is_kept_and_the_lag_is_seen<S>(store: S)
where
    S: CheckpointStore + Clone + 'static,
{
    let id = Uuid::now_v7();
    write(&store, id, 0..5).await;
    let broker = Broker::that(|_| Fate::Away);
    let relay = relay(&store, &broker).owner("away");
    let running = Running::start(relay.clone());
    broker.has_been_sent(3).await;
    let lease = async || store.checkpoint(&Consumer::new("out").unwrap()).await.unwrap().unwrap();
    let before = lease().await;
    let begun = before.lease.clone().unwrap().renewed_at;
    until("the lease outlives its length", async || {
        lease().await.lease.is_some_and(|lease| lease.renewed_at > begun + 2 * LEASE)
    })
    .await;
    assert_eq!(lease().await.fence, before.fence, "nobody else has had it");
    let appended = write(&store, id, 5..25).await;
    let progress = relay.progress().await.unwrap().unwrap();
    assert_eq!(progress.lag_events, 25, "{progress:?}");
    assert!(progress.lag > Duration::ZERO, "{progress:?}");
    assert!(matches!(&progress.state, RunState::Running { owner } if owner.starts_with("away")), "{progress:?}");
    assert!(broker.sent().iter().all(|message| message.sequence() == 1), "none later is sent");
    broker.does(|_| Fate::Stored);
    relay.wait_until(appended, PATIENCE).await.expect("when the receiver is back it goes on");
    running.stop().await;
    assert_eq!(broker.stored_ids(), names(&store).await);
}

async fn a_relay_that_waits_ends_when_it_is_told_to<S>(store: S)
where
    S: CheckpointStore + Clone + 'static,
{
    write(&store, Uuid::now_v7(), 0..1).await;
    for fate in [Fate::AwayFor(Duration::from_secs(60 * 60)), Fate::Silent] {
        let broker = Broker::that(move |_| fate);
        let running = Running::start(relay(&store, &broker));
        broker.has_been_sent(1).await;
        running.stop().await;
        assert_eq!(broker.sent().len(), 1, "{fate:?}: it leaves the receiver alone for as long as that asks for");
        assert_eq!(position(&store).await, Position::START, "{fate:?}");
    }
}

async fn a_refused_message_is_sent_once_and_its_aggregate_waits_behind_it<S>(store: S)
where
    S: CheckpointStore + Clone + 'static,
{
    let (large, sound) = (Uuid::now_v7(), Uuid::now_v7());
    for number in 0..3 {
        write(&store, large, number..number + 1).await;
        write(&store, sound, number..number + 1).await;
    }
    let judge = move |message: &annals::process::Message| {
        if message.aggregate_id() == large && message.sequence() == 2 { Fate::Refused } else { Fate::Stored }
    };
    let broker = Broker::that(judge);
    let stopped = relay(&store, &broker).catch_up().await;
    assert!(matches!(&stopped, Err(Error::Handler { sequence: 2, .. })), "by default it ends, loudly: {stopped:?}");
    let sent = |broker: &Broker| broker.sent().iter().filter(|message| message.id() == format!("{large}-2")).count();
    assert_eq!(sent(&broker), 1, "once is enough to know");

    let parking = relay(&store, &broker).on_failure(OnFailure::park());
    parking.catch_up().await.unwrap();
    assert_eq!(sent(&broker), 2, "once each time it runs");
    let parked = Consumers::new(&store).parked("out", Position::START).await.unwrap();
    let found: Vec<_> = parked.iter().map(|event| (event.sequence, event.error.as_deref())).collect();
    assert_eq!(found, [(2, Some("the message was refused: too large")), (3, None)]);
    assert_eq!(broker.stored().iter().filter(|message| message.aggregate_id() == sound).count(), 3);
    broker.does(|_| Fate::Stored);
    let replayed = parking.replay_parked().await.unwrap();
    assert_eq!((replayed.handled, replayed.left), (2, 0));
    broker.assert_order();
}

async fn a_message_at_which_the_receiver_fails_is_sent_as_often_as_it_may<S>(store: S)
where
    S: CheckpointStore + Clone + 'static,
{
    let id = Uuid::now_v7();
    write(&store, id, 0..2).await;
    write(&store, Uuid::now_v7(), 0..2).await;
    let broker = Broker::that(move |message| if message.aggregate_id() == id { Fate::Failed } else { Fate::Stored });
    let short = Duration::from_millis(1);
    let attempts = Attempts { most: 3, first_pause: short, longest_pause: short };
    let failing = relay(&store, &broker).attempts(attempts).on_failure(OnFailure::park());
    failing.catch_up().await.unwrap();
    let sent = broker.sent().iter().filter(|message| message.aggregate_id() == id).count();
    assert_eq!((sent, broker.stored().len()), (3, 2));
    assert_eq!(Consumers::new(&store).parked("out", Position::START).await.unwrap()[0].attempts, 3);
}

async fn a_receiver_that_is_gone_ends_the_relay<S>(store: S)
where
    S: CheckpointStore + Clone + 'static,
{
    let id = Uuid::now_v7();
    let first = write(&store, id, 0..1).await;
    write(&store, id, 1..3).await;
    let broker = Broker::that(|message| if message.sequence() == 2 { Fate::Gone } else { Fate::Stored });
    let running = Running::start(relay(&store, &broker).on_failure(OnFailure::park()));
    let ended = running.ended().await;
    let Err(Error::Handler { sequence: 2, source, .. }) = &ended else { panic!("{ended:?}") };
    assert_eq!(source.to_string(), "the receiver wants no more messages");
    assert_eq!(position(&store).await, first, "what was acknowledged is marked");
    assert!(
        Consumers::new(&store).parked("out", Position::START).await.unwrap().is_empty(),
        "it is no message's fault"
    );
}

async fn of_two_relays_one_publishes_and_the_other_takes_over<S>(store: S)
where
    S: CheckpointStore + Clone + 'static,
{
    let id = Uuid::now_v7();
    let (first, second) = (Broker::new(), Broker::new());
    let dying = Running::start(relay(&store, &first));
    let head = write(&store, id, 0..3).await;
    relay(&store, &first).wait_until(head, PATIENCE).await.unwrap();
    let standing_by = Running::start(relay(&store, &second));
    let head = write(&store, id, 3..6).await;
    relay(&store, &first).wait_until(head, PATIENCE).await.unwrap();
    assert!(second.sent().is_empty(), "one of them publishes");
    dying.kill().await;
    let head = write(&store, id, 6..9).await;
    relay(&store, &second).wait_until(head, PATIENCE).await.expect("the other takes over");
    standing_by.stop().await;
    assert_eq!([first.stored_ids(), second.stored_ids()].concat(), names(&store).await);
}

async fn partitions_publish_every_message_once<S>(store: S)
where
    S: CheckpointStore + Clone + 'static,
{
    let ids: Vec<_> = (0..20).map(|_| Uuid::now_v7()).collect();
    for number in 0..3 {
        for id in &ids {
            write(&store, *id, number..number + 1).await;
        }
    }
    let broker = Broker::new();
    for partition in 0..3 {
        relay(&store, &broker).partition(partition, 3).unwrap().catch_up().await.unwrap();
    }
    broker.assert_order();
    let (mut sent, mut written) = (broker.stored_ids(), names(&store).await);
    assert_eq!(broker.sent().len(), sent.len(), "none was sent twice");
    sent.sort_unstable();
    written.sort_unstable();
    assert_eq!(sent, written);
}

async fn a_selection_is_published_and_the_rest_is_passed_over<S>(store: S)
where
    S: CheckpointStore + Clone + 'static,
{
    write(&store, Uuid::now_v7(), 0..2).await;
    let other = Append::new("calendar", Uuid::now_v7()).events([NewEvent::new("opened", &()).unwrap()]);
    store.append_one(other).await.unwrap();
    let broker = Broker::new();
    let relay = relay(&store, &broker).select(Selection::all().aggregate_types(["notebook"]));
    relay.catch_up().await.unwrap();
    assert_eq!(broker.stored().len(), 2);
    assert!(relay.progress().await.unwrap().unwrap().is_caught_up());
}

async fn a_publisher_that_does_not_answer_for_every_message_ends_the_relay<S>(store: S)
where
    S: CheckpointStore + Clone + 'static,
{
    #[derive(Debug)]
    struct Mute(Arc<AtomicU32>);
    #[async_trait::async_trait]
    impl Publisher for Mute {
        async fn publish(&self, _: &[annals::process::Message]) -> Vec<Result<(), annals::process::PublishError>> {
            self.0.fetch_add(1, Ordering::SeqCst);
            Vec::new()
        }
    }
    write(&store, Uuid::now_v7(), 0..1).await;
    let calls = Arc::new(AtomicU32::new(0));
    let ended = Relay::new(&store, "out", Mute(Arc::clone(&calls))).unwrap().catch_up().await;
    assert!(matches!(&ended, Err(Error::Invalid { .. })), "{ended:?}");
    assert_eq!((calls.load(Ordering::SeqCst), position(&store).await), (1, Position::START));
}
