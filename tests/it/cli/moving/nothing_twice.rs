//! What keeps anything from being told or done twice is moved as well.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use annals::{
    Append, CheckpointStore, Consumers, EventStoreExt as _, ManualClock, NewEvent, Position, Subscription, TimerStore,
    read::OnFailure,
    store::{Auditable, MovedMessage, MovedMessagePlace, MovedRow, NewTimer, RowKind, TransferStore},
};
use uuid::Uuid;

use super::data::{exported, fill, imported, is_sound};
use crate::cli::place::{on_both, postgres, sqlite};

on_both! { what_was_told_or_done_before_a_move_is_not_told_or_done_again }

/// Runs a subscription to the end of the log, and gives what it was told. It fails on the events it is given.
pub async fn told<S: CheckpointStore + Clone + 'static>(store: &S, name: &str, fails: &[String]) -> Vec<String> {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (fails, see) = (fails.to_vec(), Arc::clone(&seen));
    let subscription = Subscription::new(store, name).unwrap().on_failure(OnFailure::park());
    let subscription = subscription.attempts(annals::Attempts::once());
    let run = subscription.catch_up(move |event: annals::RecordedEvent| {
        see.lock().unwrap().push(event.name());
        let fails = fails.contains(&event.name());
        async move { if fails { Err("no") } else { Ok(()) } }
    });
    run.await.unwrap();
    Arc::try_unwrap(seen).unwrap().into_inner().unwrap()
}

fn rows() -> Vec<(RowKind, Vec<MovedRow>)> {
    let message = |number: u32| {
        MovedRow::Message(MovedMessage {
            consumer: "shop".to_owned(),
            message_id: format!("{number}-\"é\"\\"),
            content: format!("{number:064x}"),
            received_at: 1_767_607_200_000_001,
            expires_at: number.is_multiple_of(2).then_some(4_000_000_000_000_001),
        })
    };
    let place = |number: u32| {
        let source = Uuid::from_u128(number.into());
        MovedRow::MessagePlace(MovedMessagePlace { consumer: "shop".to_owned(), source, sequence: number.into() })
    };
    vec![(RowKind::Message, (1..2_500).map(message).collect()), (RowKind::MessagePlace, (1..6).map(place).collect())]
}

async fn what_was_told_or_done_before_a_move_is_not_told_or_done_again<
    S: TransferStore + Auditable + CheckpointStore + TimerStore + Clone + 'static,
>(
    url: &str,
    store: S,
    clock: Arc<ManualClock>,
) {
    fill(&store, &clock, 1, 40).await;
    let events = store.collect_log(&annals::LogQuery::all()).await.unwrap();
    // One is parked, and those of its aggregate behind it.
    let parked = events.iter().find(|event| event.sequence() == 2).unwrap();
    let first_told = told(&store, "mail", &[parked.name()]).await;
    assert!(first_told.len() < events.len() && first_told.contains(&parked.name()));
    // It has more to be told, and there are timers that wait and one that is cancelled.
    fill(&store, &clock, 2, 10).await;
    let due = annals::Clock::now(&*clock) + Duration::from_secs(60);
    for number in 1..=3_u128 {
        let timer = NewTimer { id: Uuid::from_u128(number), due_at: due, payload: r#"{"n":  1}"#.into() };
        store.schedule_timers("reminders", &[timer]).await.unwrap();
    }
    store.cancel_timer("reminders", Uuid::from_u128(3), Duration::from_secs(100_000_000)).await.unwrap();
    for (kind, rows) in rows() {
        for page in rows.chunks(700) {
            assert_eq!(store.write_rows(kind, page).await.unwrap().new, page.len() as u64);
        }
    }
    let first = exported(url);
    for kind in RowKind::ALL {
        assert!(first.contains(&format!("{{\"kind\":\"{}\"", kind.as_str())), "{kind:?}");
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("shop.jsonl");
    std::fs::write(&file, &first).unwrap();
    let (lite_url, lite, _, _folder) = sqlite().await;
    let (pg_url, pg, _, _database) = postgres().await;
    for next in [&lite_url, &pg_url] {
        imported(next, &file);
        assert!(exported(next) == first, "the lines differ");
        let again = imported(next, &file);
        assert!(again["new"].as_object().unwrap().values().all(|new| *new == 0), "{again}");
    }
    is_sound(&lite).await;
    is_sound(&pg).await;
    goes_on(&lite, &first_told, events.len(), parked.aggregate_id()).await;
    goes_on(&pg, &first_told, events.len(), parked.aggregate_id()).await;
    // What was handled there since stays handled when the same is imported again.
    imported(&pg_url, &file);
    assert!(told(&pg, "mail", &[]).await.is_empty());
    assert!(Consumers::new(&pg).parked("mail", Position::START).await.unwrap().len() > 1);
    let one = Append::new("note", Uuid::now_v7()).event(NewEvent::new("opened", &1).unwrap());
    pg.append_one(one).await.unwrap();
    assert_eq!(told(&pg, "mail", &[]).await.len(), 1);
}

/// A subscription goes on behind what it was told, and leaves alone what is parked.
async fn goes_on<S: TransferStore + CheckpointStore + TimerStore + Clone + 'static>(
    store: &S,
    first_told: &[String],
    behind: usize,
    parked: Uuid,
) {
    let events = store.collect_log(&annals::LogQuery::all()).await.unwrap();
    let rest = told(store, "mail", &[]).await;
    assert!(!rest.is_empty() && rest.iter().all(|name| !first_told.contains(name)), "{rest:?}");
    let expected: Vec<_> = events[behind..]
        .iter()
        .filter(|event| event.aggregate_id() != parked)
        .map(annals::RecordedEvent::name)
        .collect();
    assert_eq!(rest, expected);
    let found = store.timer("reminders", Uuid::from_u128(1)).await.unwrap().unwrap();
    assert_eq!(found.payload.as_deref(), Some(r#"{"n":  1}"#));
    let cancelled = store.timer("reminders", Uuid::from_u128(3)).await.unwrap().unwrap();
    assert_eq!(cancelled.state, annals::store::TimerState::Cancelled);
}
