//! How processes end, whatever becomes of their steps.

use std::sync::Arc;

use annals::{ManualClock, process::ProcessStatus};

use super::{
    check,
    place::{Whole, on_both},
    request, runner, seats_taken,
    service::{Fate, Service},
    status, tell,
    trip::TripCommand,
    trip::patience,
};

on_both! {
    a_process_whose_steps_are_done_completes
    http_l01_after_a_refused_step_those_before_it_are_undone_in_reverse_each_once
    http_l02_a_step_whose_reply_was_lost_is_repeated_with_the_same_key
    a_process_whose_time_is_up_is_undone
    a_cancelled_process_is_undone_as_far_as_it_came
}

async fn a_process_whose_steps_are_done_completes<S: Whole>(store: S, _: Arc<ManualClock>) {
    let service = Service::default();
    let trip = request(&store, 2).await;
    runner(&store, &service).catch_up().await.unwrap();
    assert_eq!(status(&store, trip).await, ProcessStatus::Completed);
    assert_eq!((service.effects(), seats_taken(&store).await), (vec!["hotel".to_owned(), "charge".to_owned()], 2));
    // Nothing is left to be done about it.
    runner(&store, &service).catch_up().await.unwrap();
    assert_eq!((service.calls("hotel"), service.calls("charge")), (1, 1));
    check(&store).await;
}

async fn http_l01_after_a_refused_step_those_before_it_are_undone_in_reverse_each_once<S: Whole>(
    store: S,
    _: Arc<ManualClock>,
) {
    let service = Service::default();
    service.plan("charge", [Fate::Refuse]);
    let trip = request(&store, 2).await;
    runner(&store, &service).catch_up().await.unwrap();
    assert_eq!(status(&store, trip).await, ProcessStatus::Compensated);
    assert_eq!(service.effects(), ["hotel", "hotel-cancel", "notify"]);
    assert_eq!((service.calls("hotel-cancel"), service.calls("refund"), seats_taken(&store).await), (1, 0, 0));
    check(&store).await;
}

async fn http_l02_a_step_whose_reply_was_lost_is_repeated_with_the_same_key<S: Whole>(
    store: S,
    clock: Arc<ManualClock>,
) {
    let service = Service::default();
    service.plan("charge", [Fate::LoseReply, Fate::LoseRequest, Fate::Busy]);
    let trip = request(&store, 2).await;
    let runner = runner(&store, &service);
    while status(&store, trip).await != ProcessStatus::Completed {
        runner.catch_up().await.unwrap();
        clock.advance(std::time::Duration::from_millis(10));
    }
    let keys = service.keys("charge");
    assert_eq!((keys.len(), service.effects()), (4, vec!["hotel".to_owned(), "charge".to_owned()]));
    assert!(keys.iter().all(|key| *key == keys[0]), "{keys:?}");
    assert_ne!(service.keys("hotel"), keys[..1]);
    check(&store).await;
}

async fn a_process_whose_time_is_up_is_undone<S: Whole>(store: S, clock: Arc<ManualClock>) {
    let service = Service::default();
    service.always("charge", Fate::LoseReply);
    let trip = request(&store, 2).await;
    let runner = runner(&store, &service);
    runner.catch_up().await.unwrap();
    assert_eq!(status(&store, trip).await, ProcessStatus::Running);
    clock.advance(patience().to_std().unwrap());
    runner.catch_up().await.unwrap();
    assert_eq!(status(&store, trip).await, ProcessStatus::Compensated);
    // The money was taken, though nobody was told, and is given back.
    assert_eq!(service.effects(), ["hotel", "charge", "refund", "hotel-cancel", "notify"]);
    assert_eq!(seats_taken(&store).await, 0);
    check(&store).await;
}

async fn a_cancelled_process_is_undone_as_far_as_it_came<S: Whole>(store: S, clock: Arc<ManualClock>) {
    let service = Service::default();
    service.always("hotel", Fate::LoseRequest);
    let trip = request(&store, 2).await;
    let runner = runner(&store, &service);
    runner.catch_up().await.unwrap();
    assert_eq!((status(&store, trip).await, seats_taken(&store).await), (ProcessStatus::Running, 2));
    tell(&store, trip, TripCommand::Cancel).await;
    clock.advance(std::time::Duration::from_millis(10));
    runner.catch_up().await.unwrap();
    assert_eq!(status(&store, trip).await, ProcessStatus::Compensated);
    assert_eq!((service.calls("charge"), service.calls("refund"), seats_taken(&store).await), (0, 0, 0));
    check(&store).await;
}
