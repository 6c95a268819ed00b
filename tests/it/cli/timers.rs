//! `annals timers`.

use std::{sync::Arc, time::Duration};

use annals::{
    ManualClock, TimerStore,
    store::{DueClaim, NewTimer, Settled, TimerState},
};
use chrono::DateTime;
use uuid::Uuid;

use super::{
    place::on_both,
    program::{done_on, run_on},
    shown::shows_but_for,
};

on_both! {
    annals_timers_shows_queues_and_what_was_given_up
    annals_timers_resume_has_parked_timers_tried_again
}

/// Parks so many timers of the queue, and leaves one waiting.
async fn fill(store: &impl TimerStore, parked: u128) {
    let due_at = DateTime::from_timestamp(1_767_607_200, 0).unwrap();
    let timer = |number, due_at| NewTimer { id: Uuid::from_u128(number), due_at, payload: "{}".into() };
    for chunk in (1..=parked).collect::<Vec<_>>().chunks(500) {
        let timers: Vec<_> = chunk.iter().map(|number| timer(*number, due_at)).collect();
        store.schedule_timers("fulfilment", &timers).await.unwrap();
        let claim =
            DueClaim { queue: "fulfilment".into(), owner: "w".into(), lease: Duration::from_secs(60), limit: 500 };
        for held in store.claim_due(&claim).await.unwrap().timers {
            let failure = "the carrier does not know this address\nsecond line".to_owned();
            assert!(store.settle_timer(&held, &Settled::Parked { failure }).await.unwrap());
        }
    }
    let later = DateTime::from_timestamp(4_000_000_000, 0).unwrap();
    store.schedule_timers("fulfilment", &[timer(9_999, later)]).await.unwrap();
    store.schedule_timers("it's another", &[timer(1, later)]).await.unwrap_err();
    store.schedule_timers("reminders", &[timer(1, later)]).await.unwrap();
}

async fn annals_timers_shows_queues_and_what_was_given_up<S: TimerStore>(
    url: &str,
    store: S,
    _clock: Arc<ManualClock>,
) {
    let (code, _, err) = run_on(url, &["timers", "list"]);
    assert_eq!((code, err.as_str()), (0, "annals: there are no timers and no processes\n"));
    fill(&store, 2).await;
    let mut said = done_on(url, &["timers", "list"]);
    said.push_str(&done_on(url, &["timers", "list", "--format", "jsonl"]));
    for args in [&["timers", "list", "fulfilment"][..], &["timers", "list", "fulfilment", "--parked"]] {
        let (code, out, err) = run_on(url, args);
        assert_eq!(code, 0);
        said.push_str(&format!("{out}{err}"));
    }
    said.push_str(&run_on(url, &["timers", "list", "fulfilment", "--parked", "--limit", "1", "--format", "jsonl"]).1);
    shows_but_for("timers_list", &said, &[]);
    let (code, out, err) = run_on(url, &["timers", "list", "fulfilment", "--state", "fired", "--format", "json"]);
    assert_eq!((code, out.as_str(), err.as_str()), (0, "[]\n", "annals: there is none\n"));
    for queue in ["nowhere", "a b", "it's"] {
        for args in [&["timers", "list", queue][..], &["timers", "resume", queue, "--all"]] {
            let (code, out, err) = run_on(url, args);
            assert_eq!((code, out.as_str()), (3, ""), "{args:?}: {err}");
        }
    }
    assert_eq!(run_on(url, &["timers", "list", "--parked"]).0, 2);
}

async fn annals_timers_resume_has_parked_timers_tried_again<S: TimerStore>(
    url: &str,
    store: S,
    _clock: Arc<ManualClock>,
) {
    fill(&store, 1_100).await;
    let first = Uuid::from_u128(1).to_string();
    let (code, out, err) = run_on(url, &["timers", "list", "fulfilment", "--parked", "--limit", "1050"]);
    assert_eq!((code, out.lines().count()), (0, 1_051));
    assert!(err.contains(&format!("--after {}", Uuid::from_u128(1_050))), "{err}");
    let resume = |args: &[&str]| run_on(url, &[&["timers", "resume", "fulfilment"], args].concat());
    let (code, out, _) = resume(&["--id", &first]);
    assert_eq!((code, out.as_str()), (0, "fulfilment: 1 to be tried again, by whoever runs the queue\n"));
    let timer = store.timer("fulfilment", Uuid::from_u128(1)).await.unwrap().unwrap();
    assert_eq!((timer.state, timer.attempts), (TimerState::Waiting, 0));
    let (code, _, err) = resume(&["--id", &first]);
    assert_eq!(code, 3);
    assert!(err.contains("is not parked, but waiting"), "{err}");
    let (code, _, err) = resume(&["--id", &Uuid::from_u128(77_777).to_string()]);
    assert_eq!(code, 3);
    assert!(err.contains("there is no"), "{err}");
    let (code, out, _) = resume(&["--all", "--format", "jsonl"]);
    assert_eq!((code, out.as_str()), (0, "{\"queue\":\"fulfilment\",\"resumed\":1099}\n"));
    let (code, _, err) = resume(&["--all"]);
    assert_eq!((code, err.as_str()), (3, "annals: nothing is parked in the queue fulfilment\n"));
    assert_eq!(store.count_timers("fulfilment").await.unwrap().parked, 0);
    for wrong in [&[][..], &["--all", "--id", &first], &["--id", "x"]] {
        assert_eq!(resume(wrong).0, 2);
    }
}
