//! Imports while the old database is in use, and the last one.

use std::{fs, sync::Arc, time::Duration};

use annals::{
    CheckpointStore, Consumers, EventStoreExt as _, ManualClock, ParkedChoice, Position, TimerStore,
    store::{Auditable, NewTimer, TransferStore},
};
use serde_json::Value;
use uuid::Uuid;

use super::{
    data::{exported, fill, imported, is_sound},
    nothing_twice::told,
};
use crate::cli::{
    place::{on_both, sqlite},
    program::{done_on, run_on},
};

on_both! {
    what_was_handled_between_two_imports_does_not_come_back
    checkpoints_that_are_left_as_they_are_are_told
}

async fn what_was_handled_between_two_imports_does_not_come_back<
    S: TransferStore + Auditable + CheckpointStore + TimerStore + Clone + 'static,
>(
    url: &str,
    store: S,
    clock: Arc<ManualClock>,
) {
    let (from_url, from, from_clock, _folder) = sqlite().await;
    fill(&from, &from_clock, 1, 40).await;
    let events = from.collect_log(&annals::LogQuery::all()).await.unwrap();
    let parked = events.iter().find(|event| event.sequence() == 2).unwrap().name();
    told(&from, "mail", &[parked]).await;
    let due_at = annals::Clock::now(&*clock) + Duration::from_secs(60);
    let timer = NewTimer { id: Uuid::from_u128(1), due_at, payload: r#"{"n":1}"#.into() };
    from.schedule_timers("reminders", &[timer]).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("shop.jsonl");
    fs::write(&file, exported(&from_url)).unwrap();
    let args = ["import", "-q", "--format", "json", "--events-only", file.to_str().unwrap()];
    let first: Value = serde_json::from_str(&done_on(url, &args)).unwrap();
    assert_eq!(first["new"]["events"], events.len());
    assert!(first["new"]["receipts"].as_u64().unwrap() > 0, "{first}");
    for kind in ["checkpoints", "parked_events", "timers"] {
        assert_eq!((&first["new"][kind], &first["already_there"][kind]), (&0.into(), &0.into()), "{kind}");
    }
    assert!(store.checkpoints(None).await.unwrap().is_empty());
    assert!(store.timer("reminders", Uuid::from_u128(1)).await.unwrap().is_none());
    // The old database is at work.
    assert!(Consumers::new(&from).discard_all("mail", ParkedChoice::All).await.unwrap() > 0);
    fill(&from, &from_clock, 2, 5).await;
    told(&from, "mail", &[]).await;
    let last = exported(&from_url);
    fs::write(&file, &last).unwrap();
    assert_eq!(imported(url, &file)["new"]["checkpoints"], 1);
    assert!(Consumers::new(&store).parked("mail", Position::START).await.unwrap().is_empty());
    assert!(exported(url) == last, "the lines differ");
    is_sound(&store).await;
    // Of a file that is damaged behind its receipts nothing is said to be good.
    let damaged = last.replace(r#""kind":"timer","queue":"reminders""#, r#""kind":"timer","queue":"remainders""#);
    assert_ne!(damaged, last);
    fs::write(&file, damaged).unwrap();
    assert_eq!(run_on(url, &args).0, 1);
}

async fn checkpoints_that_are_left_as_they_are_are_told<
    S: TransferStore + Auditable + CheckpointStore + Clone + 'static,
>(
    url: &str,
    store: S,
    clock: Arc<ManualClock>,
) {
    let (from_url, from, _, _folder) = sqlite().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("shop.jsonl");
    let export = || fs::write(&file, exported(&from_url)).unwrap();
    fill(&from, &clock, 1, 10).await;
    told(&from, "mail", &[]).await;
    told(&from, "search", &[]).await;
    export();
    assert_eq!(imported(url, &file)["new"]["checkpoints"], 2);
    let again = imported(url, &file);
    assert_eq!((&again["already_there"]["checkpoints"], &again["left_checkpoints"]), (&2.into(), &0.into()));
    // Whoever was only paused was not run.
    Consumers::new(&store).pause("mail").await.unwrap();
    fill(&from, &clock, 2, 5).await;
    told(&from, "mail", &[]).await;
    export();
    let after_pause = imported(url, &file);
    assert_eq!((&after_pause["new"]["checkpoints"], &after_pause["left_checkpoints"]), (&1.into(), &0.into()));
    let found = store.checkpoints(Some("mail")).await.unwrap();
    assert!(found[0].paused_at.is_some(), "{found:?}");
    // Who was run here goes on from where that came to.
    Consumers::new(&store).resume("mail").await.unwrap();
    assert!(told(&store, "mail", &[]).await.is_empty());
    fill(&from, &clock, 3, 5).await;
    told(&from, "mail", &[]).await;
    export();
    let left = imported(url, &file);
    assert_eq!((&left["new"]["checkpoints"], &left["already_there"]["checkpoints"]), (&0.into(), &1.into()));
    assert_eq!((&left["left_checkpoints"], &left["left_subscriptions"]), (&1.into(), &serde_json::json!(["mail"])));
    let (code, _, err) = run_on(url, &["import", file.to_str().unwrap()]);
    assert!(code == 0 && err.contains("left as it is: 1 checkpoint"), "{err}");
    assert!(err.contains("the checkpoints of mail;"), "{err}");
}
