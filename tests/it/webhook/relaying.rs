//! A relay that sends to an endpoint which loses, refuses, waits and dies.

use std::{sync::Arc, time::Duration};

use annals::{
    Append, Attempts, Error, EventStoreExt as _, NewEvent, OnFailure, Selection, StreamQuery,
    http::webhook::WebhookFailure,
    process::{PublishError, Relay},
};
use http::{HeaderMap, HeaderValue, StatusCode};
use uuid::Uuid;

use super::{
    endpoint::{Endpoint, Mishap, Plan, effects_of},
    plain, publisher, secret,
};
use crate::inbox::{Place, on_every_database};

/// Longer than anything may take here, short enough to call it lost.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often a message meets a mishap at the most.
const MISHAPS: u32 = 3;

on_every_database! {
    http_k10_each_effect_takes_place_once_and_in_order_whatever_goes_wrong
    http_k10_what_is_not_believed_leaves_nothing_and_a_repetition_is_acknowledged
    http_k10_a_refused_message_is_parked_and_its_aggregate_waits
    http_k10_an_endpoint_that_is_gone_ends_the_relay
}

fn notebooks() -> [Uuid; 6] {
    [1, 2, 3, 4, 5, 6].map(Uuid::from_u128)
}

async fn write(store: &impl Place, notebook: Uuid, numbers: std::ops::Range<u64>) {
    let events: Vec<_> = numbers.map(|number| NewEvent::new("noted", &number).unwrap()).collect();
    store.append_one(Append::new("notebook", notebook).events(events)).await.unwrap();
}

fn relay<S: Place>(store: &S, url: &str) -> Relay<S> {
    let publisher = publisher(url).attempt_timeout(Duration::from_millis(300)).at_once(4);
    let attempts =
        Attempts { most: MISHAPS + 2, first_pause: Duration::from_millis(1), longest_pause: Duration::from_millis(5) };
    Relay::new(store, "to-partner", publisher)
        .unwrap()
        .select(Selection::default().aggregate_types(["notebook"]))
        .attempts(attempts)
}

/// The effects of each source: its places, in their order.
async fn effects(store: &impl Place, source: Uuid) -> Vec<u64> {
    let events = store.collect_stream(&StreamQuery::of(effects_of(source))).await.unwrap();
    events.iter().map(|event| event.payload().parse().unwrap()).collect()
}

async fn in_time<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future).await.expect("it ends in time")
}

async fn http_k10_each_effect_takes_place_once_and_in_order_whatever_goes_wrong<S: Place>(
    store: S,
    _clock: Arc<annals::ManualClock>,
) {
    const MISHAP: [Mishap; 9] = [
        Mishap::Refuses(500),
        Mishap::Refuses(503),
        Mishap::Refuses(408),
        Mishap::AsksForPatience(429),
        Mishap::AsksForPatience(500),
        Mishap::LosesItsAnswer(500),
        Mishap::LosesItsAnswer(502),
        Mishap::LosesItsAnswer(425),
        Mishap::FallsSilent,
    ];
    let plan: Plan = Arc::new(|id, number| {
        // By the message and how often it has come: the same in every run.
        let hash = xxhash(id, number);
        (number <= MISHAPS && hash.is_multiple_of(12)).then(|| MISHAP[usize::try_from(hash / 12 % 9).unwrap()])
    });
    let mut endpoint = Endpoint::start(&store, plan).await;
    for notebook in notebooks() {
        write(&store, notebook, 0..20).await;
    }
    let relay = relay(&store, &endpoint.url());
    let running = tokio::spawn({
        let relay = relay.clone();
        async move { relay.catch_up().await }
    });
    in_time(async {
        while endpoint.seen(|seen| seen.requests.len()) < 40 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    endpoint.kill().await;
    for notebook in notebooks() {
        write(&store, notebook, 20..25).await;
    }
    endpoint.restart().await;
    in_time(running).await.unwrap().unwrap();
    in_time(relay.catch_up()).await.unwrap();
    for notebook in notebooks() {
        assert_eq!(effects(&store, notebook).await, (1..=25).collect::<Vec<_>>(), "{notebook}");
    }
    endpoint.seen(|seen| {
        assert_eq!((seen.early, seen.refused, seen.changed), (0, 0, 0), "order is kept, and each attempt is signed");
        assert_eq!(seen.requests.len(), 150);
        assert!(seen.requests.values().any(|requests| *requests > 1), "something has gone wrong");
    });
}

/// A number that follows from a message and from how often it has come.
fn xxhash(id: &str, number: u32) -> u64 {
    let hash = Uuid::new_v5(&Uuid::NAMESPACE_OID, format!("{id} {number}").as_bytes());
    hash.as_u64_pair().1
}

async fn http_k10_what_is_not_believed_leaves_nothing_and_a_repetition_is_acknowledged<S: Place>(
    store: S,
    _clock: Arc<annals::ManualClock>,
) {
    let endpoint = Endpoint::start(&store, Arc::new(|_, _| None)).await;
    let source = Uuid::from_u128(1);
    let id = format!("{source}-1");
    let body = |data: u32| {
        format!(
            "{{\"specversion\":\"1.0\",\"id\":\"{id}\",\"source\":\"/shop\",\"type\":\"paid\",\"subject\":\"{source}\",\
             \"aggregatetype\":\"order\",\"sequence\":\"00000000000000000001\",\"data\":{data}}}"
        )
    };
    let post = |by: u8, age: Duration, signed: String, sent: String| {
        let (url, id) = (endpoint.url(), id.clone());
        async move {
            let at = chrono::Utc::now() - age;
            let text = |text: String| HeaderValue::from_str(&text).unwrap();
            let headers = HeaderMap::from_iter([
                ("webhook-id".parse().unwrap(), text(id.clone())),
                ("webhook-timestamp".parse().unwrap(), text(at.timestamp().to_string())),
                ("webhook-signature".parse().unwrap(), text(secret(by).sign(&id, at, signed.as_bytes()))),
            ]);
            plain().post(url).headers(headers).body(sent).send().await.unwrap().status()
        }
    };
    let (now, old) = (Duration::ZERO, Duration::from_secs(400));
    assert_eq!(post(2, now, body(1), body(1)).await, StatusCode::UNAUTHORIZED);
    assert_eq!(post(1, now, body(1), body(2)).await, StatusCode::UNAUTHORIZED);
    assert_eq!(post(1, old, body(1), body(1)).await, StatusCode::BAD_REQUEST);
    assert_eq!(store.received_at("partner", &id).await.unwrap(), None, "nothing is stored");
    assert!(effects(&store, source).await.is_empty());
    for _ in 0..3 {
        assert_eq!(post(1, now, body(1), body(1)).await, StatusCode::NO_CONTENT);
    }
    assert_eq!(post(1, now, body(2), body(2)).await, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(post(2, now, body(1), body(1)).await, StatusCode::UNAUTHORIZED, "known or not");
    assert_eq!(effects(&store, source).await, [1]);
}

async fn http_k10_a_refused_message_is_parked_and_its_aggregate_waits<S: Place>(
    store: S,
    _clock: Arc<annals::ManualClock>,
) {
    let [poisoned, sound, ..] = notebooks();
    let bad = format!("{poisoned}-2");
    let plan: Plan = Arc::new(move |id, number| (id == bad && number == 1).then_some(Mishap::Refuses(400)));
    let endpoint = Endpoint::start(&store, plan).await;
    for notebook in [poisoned, sound] {
        write(&store, notebook, 0..4).await;
    }
    let relay = relay(&store, &endpoint.url()).on_failure(OnFailure::Park { most: 100 });
    in_time(relay.catch_up()).await.unwrap();
    assert_eq!(effects(&store, poisoned).await, [1]);
    assert_eq!(effects(&store, sound).await, [1, 2, 3, 4]);
    endpoint.seen(|seen| assert_eq!(seen.requests.get(&format!("{poisoned}-2")), Some(&1), "it is sent once"));
    in_time(relay.replay_parked()).await.unwrap();
    assert_eq!(effects(&store, poisoned).await, [1, 2, 3, 4]);
}

async fn http_k10_an_endpoint_that_is_gone_ends_the_relay<S: Place>(store: S, _clock: Arc<annals::ManualClock>) {
    let endpoint = Endpoint::start(&store, Arc::new(|_, _| Some(Mishap::Refuses(410)))).await;
    write(&store, notebooks()[0], 0..2).await;
    let error =
        in_time(relay(&store, &endpoint.url()).on_failure(OnFailure::Park { most: 100 }).catch_up()).await.unwrap_err();
    let Error::Handler { source, .. } = &error else { panic!("{error:?}") };
    let Some(PublishError::Gone { source }) = source.downcast_ref() else { panic!("{source:?}") };
    assert!(matches!(source.downcast_ref(), Some(WebhookFailure::Gone)), "{source}");
}
