//! A relay to a real NATS JetStream: ids, lost acknowledgements, a broker that is killed, and what it refuses.

use std::time::Duration;

use annals::{
    Append, CheckpointStore, Consumers, Error, EventStoreExt as _, NewEvent, OnFailure, Position,
    nats::{NatsPublisher, NatsStream, async_nats},
    process::{CloudEvent, Envelope, PublishError, Publisher as _, Relay},
    store::LogQuery,
};
use async_nats::jetstream::{self, consumer::pull};
use futures_util::{StreamExt as _, TryStreamExt as _};
use tokio::{sync::oneshot, time::timeout};
use uuid::Uuid;

use super::{LEASE, PATIENCE, on_every_place, proxy::Proxy, until, write};
use crate::nats_server::{self, Server};

on_every_place! {
    messages_reach_the_stream_under_their_subjects_and_ids
    a_message_whose_acknowledgement_is_lost_is_sent_again_and_stored_once
    a_broker_that_is_killed_is_waited_for
    what_is_larger_than_the_broker_takes_is_refused_for_good
    without_a_stream_the_relay_waits_for_one
}

/// A stream of one test's, on the run's server.
struct Place {
    url: String,
    name: String,
}

impl Place {
    fn on(url: String) -> Self {
        Self { url, name: format!("t{}", Uuid::now_v7().simple()) }
    }

    async fn publisher(&self) -> NatsPublisher {
        NatsPublisher::connect(&self.url, &self.name).await.unwrap()
    }

    async fn stream(&self) -> jetstream::stream::Stream {
        let client = async_nats::connect(&self.url).await.unwrap();
        jetstream::new(client).get_stream(&self.name).await.unwrap()
    }

    async fn messages(&self, messages: usize) -> Vec<jetstream::Message> {
        let consumer = self.stream().await.create_consumer(pull::Config::default()).await.unwrap();
        let read = consumer.messages().await.unwrap().take(messages).try_collect();
        timeout(PATIENCE, read).await.expect("so many are there").unwrap()
    }

    async fn count(&self) -> u64 {
        self.stream().await.get_info().await.unwrap().state.messages
    }
}

fn stream(name: &str) -> NatsStream {
    NatsStream::new(name).unwrap()
}

async fn to<S: CheckpointStore + Clone + 'static>(store: &S, place: &Place) -> Relay<S> {
    let publisher = place.publisher().await.ack_within(Duration::from_secs(2)).unwrap();
    Relay::new(store, "out", publisher).unwrap().lease(LEASE)
}

async fn messages_reach_the_stream_under_their_subjects_and_ids<S>(store: S)
where
    S: CheckpointStore + Clone + 'static,
{
    let place = Place::on(nats_server::url());
    place.publisher().await.ensure_stream(&stream(&place.name)).await.unwrap();
    let ids = [Uuid::now_v7(), Uuid::now_v7()];
    for number in 0..5 {
        for id in ids {
            write(&store, id, number..number + 1).await;
        }
    }
    to(&store, &place).await.catch_up().await.unwrap();
    // Everything once more, as if nothing had been marked.
    assert!(Consumers::new(&store).forget("out").await.is_ok());
    to(&store, &place).await.catch_up().await.unwrap();
    assert_eq!(place.count().await, 10, "the broker drops what it has");
    let mut sequences = std::collections::HashMap::<Uuid, u64>::new();
    let events = store.collect_log(&LogQuery::all()).await.unwrap();
    for message in place.messages(10).await {
        let event = CloudEvent::parse(&message.payload).unwrap();
        let id = event.aggregate_id().unwrap();
        let last = sequences.entry(id).or_default();
        assert_eq!(event.sequence(), Some(*last + 1), "in order per aggregate");
        *last += 1;
        assert_eq!(message.subject.as_str(), format!("{}.notebook.{id}", place.name));
        let headers = message.headers.as_ref().unwrap();
        assert_eq!(headers.get("Nats-Msg-Id").unwrap().as_str(), event.id());
        let recorded = events.iter().find(|recorded| recorded.name() == event.id()).unwrap();
        assert_eq!(event.data(), Some(recorded.payload()));
    }
}

async fn a_message_whose_acknowledgement_is_lost_is_sent_again_and_stored_once<S>(store: S)
where
    S: CheckpointStore + Clone + 'static,
{
    let server = Server::start();
    let direct = Place::on(server.url());
    direct.publisher().await.ensure_stream(&stream(&direct.name)).await.unwrap();
    let proxy = Proxy::start(server.port()).await;
    let through = Place { url: proxy.url(), name: direct.name.clone() };
    let relay = to(&store, &through).await.batch_events(20);
    let ids: Vec<_> = (0..8).map(|_| Uuid::now_v7()).collect();
    for number in 0..5 {
        for id in &ids {
            write(&store, *id, number..number + 1).await;
        }
    }
    proxy.cut(3);
    timeout(PATIENCE, relay.catch_up()).await.expect("it gets on").unwrap();
    assert_eq!(proxy.left(), 0, "acknowledgements were lost");
    assert_eq!(direct.count().await, 40, "each is stored once");
    let mut last = std::collections::HashMap::<Uuid, u64>::new();
    for message in direct.messages(40).await {
        let event = CloudEvent::parse(&message.payload).unwrap();
        let last = last.entry(event.aggregate_id().unwrap()).or_default();
        assert_eq!(event.sequence(), Some(*last + 1));
        *last += 1;
    }
}

async fn a_broker_that_is_killed_is_waited_for<S>(store: S)
where
    S: CheckpointStore + Clone + 'static,
{
    let mut server = Server::start();
    let place = Place::on(server.url());
    place.publisher().await.ensure_stream(&stream(&place.name)).await.unwrap();
    let relay = to(&store, &place).await;
    let (stop, stopped) = oneshot::channel::<()>();
    let running = tokio::spawn({
        let relay = relay.clone();
        async move { relay.run(async { stopped.await.unwrap() }).await }
    });
    let id = Uuid::now_v7();
    relay.wait_until(write(&store, id, 0..5).await, PATIENCE).await.unwrap();
    server.stop();
    let head = write(&store, id, 5..15).await;
    until("the lag is seen", async || relay.progress().await.unwrap().unwrap().lag_events == 10).await;
    // Nor is it connected to where it is away from the beginning.
    let late = timeout(PATIENCE, place.publisher()).await.expect("it does not wait for long");
    let message = Envelope::new("/x").unwrap().wrap(&store.collect_log(&LogQuery::all()).await.unwrap()[14]).unwrap();
    let answer = late.publish(&[message]).await;
    assert!(matches!(answer[..], [Err(PublishError::Unavailable { .. })]), "{answer:?}");
    server.start_again();
    relay.wait_until(head, PATIENCE).await.expect("it goes on when the broker is back");
    assert_eq!(place.count().await, 15, "and nothing was held back to be sent out of turn");
    stop.send(()).unwrap();
    timeout(PATIENCE, running).await.expect("it ends").unwrap().unwrap();
}

async fn what_is_larger_than_the_broker_takes_is_refused_for_good<S>(store: S)
where
    S: CheckpointStore + Clone + 'static,
{
    let place = Place::on(nats_server::url());
    place.publisher().await.ensure_stream(&stream(&place.name)).await.unwrap();
    // An event may have as much as a broker takes by default, and the message more.
    let large = NewEvent::new("noted", &"x".repeat((1 << 20) - 100)).unwrap();
    let id = Uuid::now_v7();
    store.append_one(Append::new("notebook", id).events([large])).await.unwrap();
    write(&store, Uuid::now_v7(), 0..3).await;
    let relay = to(&store, &place).await.on_failure(OnFailure::park());
    timeout(PATIENCE, relay.catch_up()).await.expect("it is not tried for ever").unwrap();
    let parked = Consumers::new(&store).parked("out", Position::START).await.unwrap();
    let errors: Vec<_> = parked.iter().filter_map(|event| event.error.as_deref()).collect();
    assert_eq!(errors.len(), 1);
    assert!(errors[0].starts_with("the message was refused: max payload size exceeded"), "{errors:?}");
    assert_eq!(place.count().await, 3);
}

async fn without_a_stream_the_relay_waits_for_one<S>(store: S)
where
    S: CheckpointStore + Clone + 'static,
{
    let place = Place::on(nats_server::url());
    write(&store, Uuid::now_v7(), 0..3).await;
    let relay = to(&store, &place).await;
    let waiting = tokio::spawn(async move { relay.catch_up().await });
    let publisher = place.publisher().await;
    let message = Envelope::new("/x").unwrap().wrap(&store.collect_log(&LogQuery::all()).await.unwrap()[0]).unwrap();
    let answer = publisher.publish(&[message]).await;
    assert!(matches!(answer[..], [Err(PublishError::Unavailable { .. })]), "{answer:?}");
    publisher.ensure_stream(&stream(&place.name)).await.unwrap();
    timeout(PATIENCE, waiting).await.expect("it goes on").unwrap().unwrap();
    assert_eq!(place.count().await, 3);
}

#[tokio::test]
async fn a_stream_that_is_there_stays_and_has_to_fit() {
    let place = Place::on(nats_server::url());
    let publisher = place.publisher().await;
    publisher.ensure_stream(&stream(&place.name)).await.unwrap();
    publisher.ensure_stream(&stream(&place.name).duplicate_window(Duration::from_secs(1))).await.unwrap();
    let kept = place.stream().await.get_info().await.unwrap().config.duplicate_window;
    assert_eq!(kept, Duration::from_secs(120), "it stays as it was made");
    let other = NatsPublisher::connect(&place.url, "others").await.unwrap();
    let unfit = other.ensure_stream(&stream(&place.name)).await;
    assert!(matches!(unfit, Err(Error::Invalid { .. })), "{unfit:?}");
    let overlapping = publisher.ensure_stream(&stream(&format!("{}-2", place.name))).await;
    assert!(matches!(overlapping, Err(Error::Invalid { .. })), "the subjects are another's: {overlapping:?}");
}

#[tokio::test]
async fn settings_of_nats_have_bounds() {
    for prefix in ["", "a b", "a.", ".a", "a..b", "a.*", ">", "ä", &"a".repeat(201)] {
        let refused = NatsPublisher::connect(&nats_server::url(), prefix).await;
        assert!(matches!(refused, Err(Error::Invalid { .. })), "{prefix}");
    }
    let secret = NatsPublisher::connect("nats://user:secret@127.0.0.1:99999", "x").await.unwrap_err();
    assert!(matches!(secret, Error::Invalid { .. }) && !format!("{secret:?}").contains("secret"), "{secret:?}");
    let publisher = NatsPublisher::connect(&nats_server::url(), "a.b-c.D_1").await.unwrap();
    assert!(publisher.clone().ack_within(Duration::ZERO).is_err() && publisher.clone().ack_within(LEASE).is_ok());
    for name in ["", "a.b", "a b", "*"] {
        assert!(NatsStream::new(name).is_err(), "{name}");
    }
    let unfit = [
        stream("s").replicas(0),
        stream("s").replicas(6),
        stream("s").duplicate_window(Duration::ZERO),
        stream("s").max_age(Duration::from_secs(60)),
        stream("s").max_bytes(0),
    ];
    for unfit in unfit {
        let refused = publisher.ensure_stream(&unfit).await;
        assert!(matches!(refused, Err(Error::Invalid { .. })), "{unfit:?}");
    }
}
