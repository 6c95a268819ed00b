//! The port of calls: the same on every store.

use std::{sync::Arc, time::Duration};

use annals::{
    Clock, Error, Fingerprint, KeyStore, ManualClock, SqliteStore, SystemClock,
    http::client::MemoryKeys,
    store::{BegunCall, CallLease, CallName, CallQuery, NewCall, StoredRequest},
};
use chrono::{DateTime, TimeDelta, Utc};

const LEASE: Duration = Duration::from_secs(40);

fn name(client: &str, key: &str) -> CallName {
    CallName { client: client.into(), key: key.parse().unwrap() }
}

fn call(name: &CallName, body: &[u8]) -> NewCall {
    let request = StoredRequest {
        method: "POST".to_owned(),
        uri: "https://api.example.com/v1/charges?expand=all".to_owned(),
        headers: vec![
            ("x-bytes".to_owned(), (b' '..=255).collect::<Vec<u8>>().into()),
            ("x-bytes".to_owned(), b"".as_slice().into()),
        ],
        body: body.into(),
    };
    NewCall { name: name.clone(), fingerprint: Fingerprint::of_parts(&[body]), request }
}

async fn one_sends_at_a_time(store: &dyn KeyStore, clock: &ManualClock) {
    let name = name("one", "k");
    let (first, second) = (CallLease::new(name.clone()), CallLease::new(name.clone()));
    let (this, other) = (call(&name, b"this"), call(&name, b"other"));
    assert!(store.take_call(&first, LEASE).await.unwrap().is_none(), "there is nothing yet");
    // A lost reply: once more it is as the first time.
    for _ in 0..2 {
        assert_eq!(store.begin_call(&this, &first, LEASE).await.unwrap(), BegunCall::New);
    }
    clock.advance(Duration::from_secs(15));
    let left = Duration::from_secs(25);
    assert_eq!(store.begin_call(&this, &second, LEASE).await.unwrap(), BegunCall::InHand { lease_left: left });
    assert_eq!(store.begin_call(&other, &second, LEASE).await.unwrap(), BegunCall::OtherRequest);
    assert!(store.take_call(&second, LEASE).await.unwrap().is_none());
    assert!(store.renew_call(&first, LEASE).await.unwrap());
    clock.advance(LEASE - Duration::from_micros(1));
    assert!(store.take_call(&second, LEASE).await.unwrap().is_none(), "a microsecond is left");
    clock.advance(Duration::from_micros(1));
    let BegunCall::Again(again) = store.begin_call(&this, &second, LEASE).await.unwrap() else { panic!("it is free") };
    assert_eq!((again.takes, again.age, again.lease_left), (2, LEASE + Duration::from_secs(15), LEASE));
    // Whoever was late writes nothing.
    assert!(!store.renew_call(&first, LEASE).await.unwrap());
    assert!(!store.let_go_of_call(&first).await.unwrap());
    assert!(!store.resolve_call(&first).await.unwrap());
    assert!(store.let_go_of_call(&second).await.unwrap());
    assert!(!store.resolve_call(&second).await.unwrap(), "who has let go has nothing to say");
    assert_eq!(
        store.begin_call(&other, &first, LEASE).await.unwrap(),
        BegunCall::OtherRequest,
        "also while it is free"
    );
    let taken = store.take_call(&first, LEASE).await.unwrap().unwrap();
    assert_eq!((taken.pending.takes, taken.request), (3, this.request.clone()));
    assert!(store.resolve_call(&first).await.unwrap());
    assert!(!store.resolve_call(&first).await.unwrap());
    // The key is free, and a lease of before is none of the new one.
    assert_eq!(store.begin_call(&other, &second, LEASE).await.unwrap(), BegunCall::New);
    assert!(!store.resolve_call(&first).await.unwrap());
    assert!(store.forget_call(&name).await.unwrap() && !store.forget_call(&name).await.unwrap());
}

async fn lists_are_in_order_and_apart(store: &dyn KeyStore, clock: &ManualClock) {
    let list = async |after: Option<(DateTime<Utc>, &str)>, limit| -> Vec<String> {
        let after = after.map(|(at, key)| (at, key.parse().unwrap()));
        let found = store.pending_calls(&CallQuery { client: "one".into(), after, limit }).await.unwrap();
        found.into_iter().map(|call| call.name.key.as_str().to_owned()).collect()
    };
    let all: Vec<u8> = (0..=255).collect();
    for (client, key) in [("one", "b"), ("one", "a"), ("one", "B"), ("two", "a")] {
        let name = name(client, key);
        let lease = CallLease::new(name.clone());
        assert_eq!(store.begin_call(&call(&name, &all), &lease, LEASE).await.unwrap(), BegunCall::New);
    }
    let began = clock.now_in_micros();
    clock.advance(Duration::from_secs(1));
    let late = name("one", "0");
    store.begin_call(&call(&late, b""), &CallLease::new(late.clone()), LEASE).await.unwrap();
    // By time, and then by the bytes of the key.
    assert_eq!(list(None, 10).await, ["B", "a", "b", "0"]);
    assert_eq!(list(None, 2).await, ["B", "a"]);
    assert_eq!(list(Some((began, "a")), 2).await, ["b", "0"]);
    assert_eq!(list(Some((clock.now_in_micros(), "0")), 2).await, [""; 0]);
    clock.advance(LEASE);
    let taken = store.take_call(&CallLease::new(name("one", "b")), LEASE).await.unwrap().unwrap();
    assert_eq!(taken.request, call(&name("one", "b"), &all).request, "byte by byte");
    assert_eq!(taken.pending.created_at, began);
    assert!(store.forget_call(&name("one", "a")).await.unwrap());
    assert_eq!(list(None, 10).await, ["B", "b", "0"]);
    let of_two = CallQuery { client: "two".into(), after: None, limit: 10 };
    assert_eq!(store.pending_calls(&of_two).await.unwrap().len(), 1);
}

async fn what_is_too_large_is_refused(store: &dyn KeyStore, _: &ManualClock) {
    let good = name("one", "k");
    let lease = CallLease::new(good.clone());
    let mut long_url = call(&good, b"");
    long_url.request.uri = "x".repeat((64 << 10) + 1);
    let mut many_headers = call(&good, b"");
    many_headers.request.headers = vec![("x".to_owned(), vec![b'x'; 256 << 10].into())];
    for wrong in [
        call(&name("", "k"), b""),
        call(&name("a\0b", "k"), b""),
        call(&name(&"x".repeat(201), "k"), b""),
        call(&good, &vec![0; (16 << 20) + 1]),
        long_url,
        many_headers,
    ] {
        let error = store.begin_call(&wrong, &lease, LEASE).await.unwrap_err();
        assert!(matches!(error, Error::Invalid { .. }), "{error:?}");
    }
    for length in [Duration::ZERO, Duration::from_secs(24 * 60 * 60 + 1), Duration::MAX] {
        for error in [
            store.begin_call(&call(&good, b""), &lease, length).await.unwrap_err(),
            store.take_call(&lease, length).await.unwrap_err(),
            store.renew_call(&lease, length).await.unwrap_err(),
        ] {
            assert!(matches!(error, Error::Invalid { .. }), "{error:?}");
        }
    }
    let of_one = CallQuery { client: "one".into(), after: None, limit: 10 };
    assert!(store.pending_calls(&of_one).await.unwrap().is_empty());
    // The largest that may be.
    let largest = call(&good, &vec![7; 16 << 20]);
    assert_eq!(store.begin_call(&largest, &lease, LEASE).await.unwrap(), BegunCall::New);
    assert_eq!(store.take_call(&lease, LEASE).await.unwrap().unwrap().request, largest.request);
}

/// With the machine's clock, which a database's server may tell instead.
async fn begins_and_lapses_by_the_machines_time(store: &dyn KeyStore) {
    let name = name("one", "k");
    let (first, second) = (CallLease::new(name.clone()), CallLease::new(name.clone()));
    let call = call(&name, b"x");
    assert_eq!(store.begin_call(&call, &first, LEASE).await.unwrap(), BegunCall::New);
    let BegunCall::InHand { lease_left } = store.begin_call(&call, &second, LEASE).await.unwrap() else { panic!() };
    assert!(lease_left > LEASE / 2 && lease_left <= LEASE);
    assert!(store.renew_call(&first, Duration::from_millis(1)).await.unwrap());
    // A bound far beyond a millisecond: the clock of the store goes on by itself.
    let gives_up = std::time::Instant::now() + Duration::from_secs(30);
    let taken = loop {
        if let Some(taken) = store.take_call(&second, LEASE).await.unwrap() {
            break taken;
        }
        assert!(std::time::Instant::now() < gives_up, "the lease does not lapse");
    };
    assert_eq!(taken.pending.takes, 2);
    assert!((Utc::now() - taken.pending.created_at).abs() < TimeDelta::hours(1));
}

macro_rules! on_every_store {
    ($open:expr) => {
        #[tokio::test]
        async fn one_sends_at_a_time() {
            let (store, clock, _kept) = $open.await;
            super::one_sends_at_a_time(&store, &clock).await;
        }

        #[tokio::test]
        async fn lists_are_in_order_and_apart() {
            let (store, clock, _kept) = $open.await;
            super::lists_are_in_order_and_apart(&store, &clock).await;
        }

        #[tokio::test]
        async fn what_is_too_large_is_refused() {
            let (store, clock, _kept) = $open.await;
            super::what_is_too_large_is_refused(&store, &clock).await;
        }
    };
}

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(SystemClock.now_in_micros()))
}

mod memory {
    use super::*;

    /// Told by the same clock as the test.
    #[derive(Debug)]
    struct Shared(Arc<ManualClock>);

    impl Clock for Shared {
        fn now(&self) -> DateTime<Utc> {
            self.0.now()
        }
    }

    async fn open() -> (MemoryKeys, Arc<ManualClock>, ()) {
        let clock = clock();
        (MemoryKeys::with_clock(Shared(Arc::clone(&clock))), clock, ())
    }

    on_every_store!(open());

    #[tokio::test]
    async fn it_lapses_by_the_machines_time() {
        begins_and_lapses_by_the_machines_time(&MemoryKeys::new()).await;
    }
}

mod sqlite {
    use super::*;

    async fn open() -> (SqliteStore, Arc<ManualClock>, ()) {
        let clock = clock();
        let options = SqliteStore::options().shared_clock(Arc::clone(&clock) as _);
        (options.open_in_memory().await.unwrap(), clock, ())
    }

    on_every_store!(open());

    #[tokio::test]
    async fn it_lapses_by_the_machines_time() {
        begins_and_lapses_by_the_machines_time(&SqliteStore::open_in_memory().await.unwrap()).await;
    }
}

#[cfg(feature = "postgres")]
mod postgres {
    use annals::PostgresStore;

    use super::*;
    use crate::postgres_server::Database;

    async fn open() -> (PostgresStore, Arc<ManualClock>, Database) {
        let (clock, database) = (clock(), Database::create().await);
        let options = PostgresStore::options().shared_clock(Arc::clone(&clock) as _);
        (options.connect(database.url()).await.unwrap(), clock, database)
    }

    on_every_store!(open());

    #[tokio::test]
    async fn it_lapses_by_the_servers_time() {
        let database = Database::create().await;
        begins_and_lapses_by_the_machines_time(&PostgresStore::connect(database.url()).await.unwrap()).await;
    }
}
