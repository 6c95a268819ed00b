//! Many events through JetStream, with a broker that is killed again and again, to a consumer with an inbox.
//!
//! In the long form `scripts/relay_kill.sh` runs it.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use annals::{
    CheckpointStore, NewEvent, SqliteStore, Transactional as _, Work as _,
    nats::{NatsPublisher, NatsStream, async_nats},
    process::{CloudEvent, Relay},
    store::{Append, EventStoreExt as _, InboxWork as _, MessagePlace, Received},
};
use async_nats::jetstream::{self, AckKind, consumer::pull};
use futures_util::StreamExt as _;
use tokio::{
    sync::{oneshot, watch},
    task::JoinHandle,
    time::timeout,
};
use uuid::Uuid;

use super::on_every_place;
use crate::{campaign, nats_server::Server};

/// How many events there are: 50 thousand in the long form.
const EVENTS: u32 = 2_500;
/// The broker is killed once for so many of them, besides the time it is away.
const EVENTS_OF_A_RESTART: u64 = 5_000;
const AGGREGATES: usize = 200;
const WRITERS: usize = 8;
/// How many messages share a transaction of the consumer's.
const TAKEN_AT_ONCE: usize = 100;
/// The longest that nothing may get on.
const STALLED: Duration = Duration::from_secs(60);
const STREAM: &str = "campaign";

on_every_place! {
    every_event_takes_effect_once_and_in_order_though_the_broker_is_killed
}

/// Takes messages in, and has their effects in a table of its own.
struct Consumer {
    store: SqliteStore,
    taken: watch::Sender<u64>,
    duplicates: u64,
    early: u64,
}

impl Consumer {
    /// One connection's worth of messages: until they end, or no more come for a while.
    async fn take(&mut self, url: &str) -> Result<(), async_nats::Error> {
        let stream = jetstream::new(async_nats::connect(url).await?).get_stream(STREAM).await?;
        let settings = pull::Config {
            durable_name: Some("effects".into()),
            ack_wait: Duration::from_secs(5),
            max_ack_pending: 2_000,
            ..Default::default()
        };
        let consumer = stream.get_or_create_consumer("effects", settings).await?;
        loop {
            let mut batch =
                consumer.fetch().max_messages(TAKEN_AT_ONCE).expires(Duration::from_secs(1)).messages().await?;
            let mut messages = Vec::new();
            while let Some(message) = batch.next().await {
                messages.push(message?);
            }
            self.take_batch(messages).await?;
        }
    }

    async fn take_batch(&mut self, messages: Vec<jetstream::Message>) -> Result<(), async_nats::Error> {
        let (mut done, mut early, mut new) = (Vec::new(), Vec::new(), 0);
        let mut work = self.store.begin().await.unwrap();
        for message in messages {
            let event = CloudEvent::parse(&message.payload).unwrap();
            let mut received = event.inbox_message("effects");
            // The relay sends every event of each aggregate: one that overtakes another is found out.
            received.place = event.place().map(|place| MessagePlace { is_dense: true, ..place });
            match work.receive(&received).await.unwrap() {
                Received::New => {
                    let effect = sqlx::query("INSERT INTO effects (aggregate, sequence, data) VALUES (?1, ?2, ?3)");
                    let effect = effect.bind(event.subject().unwrap().to_owned());
                    let effect = effect.bind(i64::try_from(event.sequence().unwrap()).unwrap());
                    effect.bind(event.decode::<i64>().unwrap()).execute(work.connection()).await.unwrap();
                    new += 1;
                    done.push(message);
                }
                Received::Duplicate { .. } => {
                    self.duplicates += 1;
                    done.push(message);
                }
                Received::Early { .. } => early.push(message),
                other => panic!("{}: {other:?}", event.id()),
            }
        }
        work.commit().await.unwrap();
        self.early += early.len() as u64;
        self.taken.send_modify(|taken| *taken += new);
        for message in early {
            message.ack_with(AckKind::Nak(Some(Duration::from_millis(50)))).await?;
        }
        for message in done {
            message.ack().await?;
        }
        Ok(())
    }

    /// For ever: a broker that is away is waited for.
    async fn run(&mut self, url: String) {
        loop {
            drop(self.take(&url).await);
            tokio::task::yield_now().await;
        }
    }
}

/// Waits until so many effects are there.
async fn have_taken(taken: &mut watch::Receiver<u64>, effects: u64) {
    loop {
        let before = *taken.borrow_and_update();
        if before >= effects {
            return;
        }
        let moved = timeout(STALLED, taken.changed()).await;
        assert!(moved.is_ok(), "the consumer has stalled at {before} of {effects}");
    }
}

/// Appends by several writers, each with aggregates of its own; tells how many events a second were written.
async fn append<S: CheckpointStore + Clone + 'static>(store: &S, ids: &[Uuid], numbers: std::ops::Range<u64>) -> f64 {
    let (began, events) = (Instant::now(), numbers.end - numbers.start);
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let own: Vec<_> = ids.iter().copied().skip(writer).step_by(WRITERS).collect();
            let (store, numbers) = (store.clone(), numbers.clone().skip(writer).step_by(WRITERS));
            tokio::spawn(async move {
                for (number, id) in numbers.zip(own.iter().cycle()) {
                    let event = NewEvent::new("noted", &number).unwrap();
                    store.append_one(Append::new("notebook", *id).events([event])).await.unwrap();
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    #[allow(clippy::cast_precision_loss, reason = "a rate is a float")]
    let rate = events as f64 / began.elapsed().as_secs_f64();
    rate
}

struct Running {
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), annals::Error>>,
}

fn start<S: CheckpointStore + Clone + 'static>(relay: &Relay<S>) -> Running {
    let (stop, stopped) = oneshot::channel::<()>();
    let relay = relay.clone();
    Running { stop, task: tokio::spawn(async move { relay.run(async { stopped.await.unwrap() }).await }) }
}

async fn every_event_takes_effect_once_and_in_order_though_the_broker_is_killed<S>(store: S)
where
    S: CheckpointStore + Clone + 'static,
{
    let events = u64::from(campaign::sized(EVENTS));
    let third = events / 3;
    let restarts = (events / EVENTS_OF_A_RESTART).max(1);
    let ids: Vec<_> = (0..AGGREGATES).map(|_| Uuid::now_v7()).collect();
    let mut server = Server::start();
    let publisher = NatsPublisher::connect(&server.url(), STREAM).await.unwrap();
    publisher.ensure_stream(&NatsStream::new(STREAM).unwrap()).await.unwrap();
    let relay = Relay::new(&store, "campaign", publisher).unwrap().batch_events(500);

    let folder = tempfile::tempdir().unwrap();
    let effects = SqliteStore::open(folder.path().join("effects.db")).await.unwrap();
    let mut own = effects.begin().await.unwrap();
    let table = "CREATE TABLE effects (aggregate TEXT, sequence INTEGER, data INTEGER, at INTEGER PRIMARY KEY)";
    sqlx::query(table).execute(own.connection()).await.unwrap();
    own.commit().await.unwrap();
    let taken = watch::Sender::new(0);
    let mut seen = taken.subscribe();
    let mut consumer = Consumer { store: effects.clone(), taken, duplicates: 0, early: 0 };
    let (stop_consumer, consumer_stopped) = oneshot::channel::<()>();

    let alone = append(&store, &ids, 0..third).await;
    let running = start(&relay);
    let consuming = tokio::spawn({
        let url = server.url();
        async move {
            tokio::select! {
                () = consumer.run(url) => {}
                _ = consumer_stopped => {}
            }
            consumer
        }
    });
    let beside = append(&store, &ids, third..2 * third).await;
    let began = Instant::now();
    for restart in 1..=restarts {
        // Killed while messages are on their way, on both sides of it.
        have_taken(&mut seen, 2 * third * restart / (restarts + 1)).await;
        server.stop();
        server.start_again();
    }
    have_taken(&mut seen, 2 * third).await;
    let drained = began.elapsed();
    server.stop();
    let during = append(&store, &ids, 2 * third..events).await;
    let lag = relay.progress().await.unwrap().unwrap().lag_events;
    assert_eq!(lag, events - 2 * third, "it is seen how far the relay is behind while the broker is away");
    server.start_again();
    have_taken(&mut seen, events).await;

    running.stop.send(()).unwrap();
    timeout(STALLED, running.task).await.expect("it ends").unwrap().unwrap();
    stop_consumer.send(()).unwrap();
    let consumer = consuming.await.unwrap();
    assert!(relay.progress().await.unwrap().unwrap().is_caught_up());
    check(&effects, events).await;
    println!(
        "figures: events={events} restarts={restarts} and one outage, appends/s alone={alone:.0} with_relay={beside:.0} \
         broker_away={during:.0}, drained_s={:.1} duplicates_at_the_inbox={} early={} lag_seen={lag}",
        drained.as_secs_f64(),
        consumer.duplicates,
        consumer.early
    );
}

/// Every effect is there once, and those of each aggregate in order.
async fn check(effects: &SqliteStore, events: u64) {
    let mut work = effects.begin().await.unwrap();
    let rows: Vec<(String, i64)> = sqlx::query_as("SELECT aggregate, sequence FROM effects ORDER BY at")
        .fetch_all(work.connection())
        .await
        .unwrap();
    assert_eq!(rows.len() as u64, events);
    let mut last = HashMap::<String, i64>::new();
    for (aggregate, sequence) in rows {
        let last = last.entry(aggregate).or_default();
        assert_eq!(sequence, *last + 1, "in order, none twice, none left out");
        *last = sequence;
    }
}
