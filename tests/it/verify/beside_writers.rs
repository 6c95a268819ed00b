//! Checks while others write.

use std::{
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
};

use annals::{
    Attempts, BoxError, CheckpointStore, Consumers, EventStore, OnFailure, RecordedEvent, Repository, Subscription,
    Verify,
};
use tokio::task::JoinSet;

use super::{Site, assert_sound, verify};
use crate::{
    campaign,
    faults::tally::{Request, Tally},
};

const WRITERS: u32 = 4;

/// Runs commands until it is told to stop.
fn write<S: EventStore + Clone + 'static>(
    store: &S,
    writer: u32,
    stop: &Arc<AtomicBool>,
) -> impl Future<Output = u32> + Send + use<S> {
    let tallies = Repository::<Tally>::new(store).snapshot_every(7);
    // Half of them decide in turn on kept states.
    let tallies = if writer.is_multiple_of(2) { tallies } else { tallies.cached(8) };
    let stop = Arc::clone(stop);
    async move {
        let mut number = 0;
        while !stop.load(Ordering::Relaxed) {
            let _ = Request::of(&format!("{writer}-{number}")).run(&tallies).await;
            number += 1;
        }
        number
    }
}

/// Parks events, and those behind them, tells them again, and forgets all about it, until it is told to stop.
fn park<S: CheckpointStore + Clone + 'static>(
    store: &S,
    stop: &Arc<AtomicBool>,
) -> impl Future<Output = u32> + Send + use<S> {
    let (store, stop) = (store.clone(), Arc::clone(stop));
    async move {
        let mut rounds = 0;
        while !stop.load(Ordering::Relaxed) {
            let mail = Subscription::new(&store, "mail").unwrap();
            let mail = mail.attempts(Attempts::once()).on_failure(OnFailure::Park { most: 100 });
            let is_told = |event: &RecordedEvent| !event.sequence().is_multiple_of(3);
            // Ends where there is no more room.
            let told = mail.catch_up(|event| {
                let done = if is_told(&event) { Ok(()) } else { Err("no such address") };
                async move { done }
            });
            let _ = told.await;
            let _ = mail.replay_parked(|_| async { Ok::<_, BoxError>(()) }).await;
            rounds += u32::from(Consumers::new(&store).forget("mail").await.is_ok());
        }
        rounds
    }
}

pub async fn nothing_is_found<S: Site>() {
    let site = S::open().await;
    let stop = Arc::new(AtomicBool::new(false));
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        writers.spawn(write(site.store(), writer, &stop));
    }
    let parker = tokio::spawn(park(site.store(), &stop));
    let (mut checks, mut seen, mut parked) = (0, Vec::new(), 0);
    while checks < campaign::sized(20) || seen.last() < Some(&500) {
        // From a task of its own, as an application would.
        let store = site.store().clone();
        let report = tokio::spawn(async move { verify(&store).await }).await.unwrap();
        assert_sound(&report);
        checks += 1;
        parked += report.counts.parked_events;
        seen.push(report.counts.events);
    }
    stop.store(true, Ordering::Relaxed);
    let commands: u32 = writers.join_all().await.iter().sum();
    assert!(seen.is_sorted() && seen.first() < seen.last(), "they wrote meanwhile: {seen:?}");
    assert!(parker.await.unwrap() > 0 && parked > 0, "some were parked meanwhile");
    let report = verify(site.store()).await;
    assert_sound(&report);
    assert!(report.counts.receipts == u64::from(commands) && report.counts.refolds > 0, "{report}");
    site.close().await;
}

pub async fn a_check_can_be_dropped_anywhere<S: Site>() {
    let site = S::open().await;
    super::history::History::write(&site).await;
    let mut is_done = false;
    for polls in 1.. {
        let mut check = Box::pin(Verify::new(site.store()).run());
        for _ in 0..polls {
            is_done |= poll_fn(|context| Poll::Ready(check.as_mut().poll(context).is_ready())).await;
            if is_done {
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(check);
        if is_done {
            break;
        }
    }
    assert_sound(&verify(site.store()).await);
    site.close().await;
}
