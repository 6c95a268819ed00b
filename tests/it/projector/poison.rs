//! Events that a projection fails on.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use annals::{Attempts, Consumers, Error, OnFailure, ParkedChoice, Position, Projection, Projector};
use uuid::Uuid;

use super::{
    on_every_backend,
    place::{ConnectionOf, PATIENCE, Place},
    sums::Sums,
};

on_every_backend! {
    store_071_by_default_a_projection_stops_at_an_event_it_fails_on
    store_071_a_projector_at_work_applies_the_parked_events_it_is_asked_for
    store_072_an_event_that_breaks_the_transaction_is_parked_all_the_same
    store_072_an_event_that_passes_later_is_not_parked
}

fn quick() -> Attempts {
    Attempts { most: 3, first_pause: Duration::from_millis(1), longest_pause: Duration::from_millis(2) }
}

/// By default the projector ends at the event, with all before it applied, and goes on when it is mended.
async fn store_071_by_default_a_projection_stops_at_an_event_it_fails_on<P: Place>()
where
    Sums: Projection<ConnectionOf<P>>,
{
    let place = P::open().await;
    let notebook = Uuid::now_v7();
    place.write(notebook, &[1, 2, 3, 4, 5]).await;
    let failing =
        Sums { judge: Arc::new(|number| if number == 4 { Err("no rate".into()) } else { Ok(()) }), ..Sums::default() };
    let applied = Arc::clone(&failing.applied);
    let projector = Projector::new(place.store(), failing).unwrap().attempts(quick());
    match projector.catch_up().await {
        Err(Error::Handler { sequence: 4, consumer, source, .. }) => {
            assert_eq!((consumer.as_str(), source.to_string().as_str()), ("sums", "no rate"));
        }
        other => panic!("expected the projection's error, got {other:?}"),
    }
    assert_eq!(place.sums().await, [(format!("{notebook} 3"), 6)], "what came before is applied");
    assert_eq!(*applied.lock().unwrap(), [1, 2, 3, 4, 1, 2, 3, 4, 4], "the batch, those before it, and it alone");
    let progress = projector.progress().await.unwrap().unwrap();
    assert!(progress.failure.unwrap().message.contains("no rate"));
    assert_eq!((progress.lag_events, progress.parked), (2, 0));
    Projector::new(place.store(), Sums::default()).unwrap().catch_up().await.unwrap();
    assert_eq!(place.sums().await, [(format!("{notebook} 5"), 15)]);
}

/// A projector that is at work applies what is asked for, each event once, and what waits behind it.
async fn store_071_a_projector_at_work_applies_the_parked_events_it_is_asked_for<P: Place>()
where
    Sums: Projection<ConnectionOf<P>>,
{
    let place = P::open().await;
    let notebook = Uuid::now_v7();
    place.write(notebook, &[1, 2, 3]).await;
    let is_mended = Arc::new(AtomicBool::new(false));
    let judge = {
        let is_mended = Arc::clone(&is_mended);
        move |number| if number == 2 && !is_mended.load(Ordering::SeqCst) { Err("no rate".into()) } else { Ok(()) }
    };
    let sums = Sums { judge: Arc::new(judge), ..Sums::default() };
    let projector = Projector::new(place.store(), sums).unwrap().attempts(quick()).on_failure(OnFailure::park());
    let (end, ends) = tokio::sync::oneshot::channel::<()>();
    let running = tokio::spawn({
        let projector = projector.clone();
        async move { projector.run(async { drop(ends.await) }).await }
    });
    let consumers = Consumers::new(place.store());
    let parked = async || consumers.parked("sums", Position::START).await.unwrap();
    until(async || parked().await.len() == 2).await;
    consumers.request_replay("sums", ParkedChoice::All).await.unwrap();
    until(async || parked().await.iter().all(|event| event.replay_requested_at.is_none())).await;
    assert_eq!(parked().await.iter().map(|event| event.attempts).collect::<Vec<_>>(), [4, 0], "it has failed again");
    is_mended.store(true, Ordering::SeqCst);
    let choice = ParkedChoice::Event { aggregate_id: notebook, sequence: 2 };
    consumers.request_replay("sums", choice).await.unwrap();
    let last = place.write(notebook, &[4]).await;
    projector.wait_until(last, PATIENCE).await.unwrap();
    assert_eq!(place.sums().await, [(format!("{notebook} 4"), 10)], "each once");
    drop(end);
    running.await.unwrap().unwrap();
}

async fn until(mut is_so: impl AsyncFnMut() -> bool) {
    let look = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, look).await.expect("it comes to pass");
}

/// An error of the database within the transaction leaves the event parked, what follows of its aggregate behind it, and
/// the rest applied; mended, they are replayed in order.
async fn store_072_an_event_that_breaks_the_transaction_is_parked_all_the_same<P: Place>()
where
    Sums: Projection<ConnectionOf<P>>,
{
    let place = P::open().await;
    let (broken, sound) = (Uuid::now_v7(), Uuid::now_v7());
    place.write(broken, &[1]).await;
    place.write(sound, &[10]).await;
    // More than the table takes.
    let poison = place.write(broken, &[2_000_000]).await;
    place.write(sound, &[20]).await;
    place.write(broken, &[3]).await;
    place.write(sound, &[30]).await;
    let projector =
        Projector::new(place.store(), Sums::default()).unwrap().attempts(quick()).on_failure(OnFailure::park());
    projector.catch_up().await.expect("the rest goes on");
    let mut expected = [(format!("{broken} 1"), 1), (format!("{sound} 3"), 60)];
    assert_eq!(place.sums().await, expected);
    let consumers = Consumers::new(place.store());
    let parked = consumers.parked("sums", Position::START).await.unwrap();
    let shown: Vec<_> = parked.iter().map(|event| (event.sequence, event.attempts, event.error.is_some())).collect();
    assert_eq!(shown, [(2, 3, true), (3, 0, false)]);
    assert!(parked[0].error.as_ref().unwrap().contains("are_small"), "{:?}", parked[0].error);
    assert_eq!(parked[0].position, poison);
    let behind = projector.wait_until(poison, Duration::from_millis(10)).await;
    assert!(matches!(behind, Err(Error::Behind { .. })), "what is parked is not in the rows: {behind:?}");

    let run = projector.replay_parked().await.unwrap();
    assert_eq!((run.handled, run.left), (0, 2), "it fails again");
    assert_eq!(consumers.parked("sums", Position::START).await.unwrap()[0].attempts, 4);
    // A projection that makes less of numbers.
    let mended = Projector::new(place.store(), Sums { factor: 0, ..Sums::default() }).unwrap();
    let run = mended.replay_parked().await.unwrap();
    assert_eq!((run.handled, run.left), (2, 0));
    expected[0].0 = format!("{broken} 3");
    assert_eq!(place.sums().await, expected);
    mended.wait_until(poison, Duration::from_millis(10)).await.unwrap();
}

/// What fails and then succeeds is applied once, and nothing is parked.
async fn store_072_an_event_that_passes_later_is_not_parked<P: Place>()
where
    Sums: Projection<ConnectionOf<P>>,
{
    let place = P::open().await;
    let notebook = Uuid::now_v7();
    place.write(notebook, &[1, 2, 3]).await;
    let tries = std::sync::atomic::AtomicU32::new(0);
    let judge = move |number| match number {
        2 if tries.fetch_add(1, Ordering::Relaxed) < 2 => Err("not yet".into()),
        _ => Ok(()),
    };
    let sums = Sums { judge: Arc::new(judge), ..Sums::default() };
    let effects = Arc::clone(&sums.effects);
    let projector = Projector::new(place.store(), sums).unwrap().attempts(quick()).on_failure(OnFailure::park());
    projector.catch_up().await.unwrap();
    assert_eq!(place.sums().await, [(format!("{notebook} 3"), 6)]);
    assert_eq!(projector.progress().await.unwrap().unwrap().parked, 0);
    assert_eq!(*effects.lock().unwrap(), [1, 2, 3], "effects are not had again for what is tried again");
}
