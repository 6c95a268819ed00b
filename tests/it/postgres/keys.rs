//! Batches of commands with keys that several processes write at once, or send again.

use std::{sync::Arc, time::Duration};

use annals::{
    Append, Appended, Error, EventStore as _, EventStoreExt as _, ExpectedVersion, Fingerprint, IdempotencyKey,
    LogQuery, ManualClock, NewEvent, Position, PostgresStore, ReceiptOutcome, Transactional as _, Verify, Work as _,
};
use futures_util::future::join_all;
use uuid::Uuid;

use crate::postgres_server::Database;

const KEY: &str = "7b1e";

/// One event under a key, as it was decided on this version.
fn keyed(id: Uuid, version: u64, key: &str) -> Append {
    let append = Append::new("note", id).expected(ExpectedVersion::Exact(version));
    append.event(NewEvent::new("noted", &version).unwrap()).idempotency_key(IdempotencyKey::new(key).unwrap())
}

/// The same request, whatever was decided.
fn request(id: Uuid, version: u64, key: &str) -> Append {
    keyed(id, version, key).fingerprint(Fingerprint::of("note this").unwrap())
}

fn for_a_second(append: Append) -> Append {
    append.keep_receipt_for(Duration::from_secs(1))
}

fn ids<const N: usize>() -> [Uuid; N] {
    [(); N].map(|()| Uuid::now_v7())
}

fn written(answer: &Result<Appended, Error>) -> (u64, bool) {
    let appended = answer.as_ref().unwrap();
    (appended.version, appended.replayed)
}

async fn is_sound(store: &PostgresStore) {
    let report = Verify::new(store).run().await.unwrap();
    assert!(report.is_sound(), "{report}");
}

/// Positions are drawn by what is written: those of a statement that is taken back are missing.
#[tokio::test]
async fn a_command_that_is_sent_again_takes_no_neighbour_along() {
    let database = Database::create().await;
    let clock = Arc::new(ManualClock::new(chrono::DateTime::from_timestamp(1_767_607_200, 0).unwrap()));
    let options = PostgresStore::options().shared_clock(Arc::<ManualClock>::clone(&clock));
    let store = options.connect(database.url()).await.unwrap();
    let [again, reused, expired, plain] = ids();
    let first = vec![request(again, 0, KEY), request(reused, 0, KEY), for_a_second(request(expired, 0, KEY))];
    assert!(store.append(first).await.iter().all(|answer| written(answer) == (1, false)));
    assert_eq!(store.head().await.unwrap(), Position::new(3));

    // The reply was lost, and it is decided once more: on what the first attempt has left.
    let [before, behind] = ids();
    let other = Fingerprint::of("note that").unwrap();
    let second = vec![
        keyed(before, 0, KEY),
        request(again, 1, KEY),
        keyed(reused, 1, KEY).fingerprint(other),
        Append::new("note", plain).expected(ExpectedVersion::New).event(NewEvent::new("noted", &0).unwrap()),
        keyed(behind, 0, KEY),
    ];
    let answers = store.append(second).await;
    assert_eq!([0, 3, 4].map(|at| written(&answers[at])), [(1, false); 3]);
    assert_eq!(written(&answers[1]), (1, true));
    assert!(matches!(answers[2], Err(Error::KeyReused { .. })), "{:?}", answers[2]);
    assert_eq!(store.head().await.unwrap(), Position::new(6), "nothing was taken back");

    // A key whose time is over is free, though its receipt is still there.
    clock.advance(Duration::from_secs(2));
    let [neighbour] = ids();
    let answers = store.append(vec![for_a_second(request(expired, 1, KEY)), keyed(neighbour, 0, KEY)]).await;
    assert_eq!([written(&answers[0]), written(&answers[1])], [(2, false), (1, false)]);
    assert_eq!(store.head().await.unwrap(), Position::new(8), "nothing was taken back");
    is_sound(&store).await;
}

/// Each process has received all commands; each command is executed once.
#[tokio::test(flavor = "multi_thread")]
async fn keyed_commands_that_meet_are_written_once() {
    const COMMANDS: usize = 40;
    let database = Database::create().await;
    let writers = 4;
    let stores = join_all((0..writers).map(|_| PostgresStore::connect(database.url()))).await;
    let stores: Vec<_> = stores.into_iter().map(Result::unwrap).collect();
    for round in 0..10 {
        let commands: Vec<_> = ids::<COMMANDS>().into_iter().map(|id| request(id, 0, KEY)).collect();
        let write = |(at, store): (usize, &PostgresStore)| {
            let (store, mut commands) = (store.clone(), commands.clone());
            commands.rotate_left(at * COMMANDS / writers);
            tokio::spawn(async move {
                let answers = store.append(commands.clone()).await;
                commands.into_iter().map(|append| append.aggregate_id).zip(answers).collect::<Vec<_>>()
            })
        };
        let told = join_all(stores.iter().enumerate().map(write)).await;
        let told: Vec<_> = told.into_iter().flat_map(Result::unwrap).collect();
        let executed = told.iter().filter(|(_, answer)| written(answer) == (1, false)).count();
        assert_eq!((told.len(), executed), (writers * COMMANDS, COMMANDS), "round {round}");
        for (id, answer) in &told {
            let first = told.iter().find(|(of, answer)| of == id && !answer.as_ref().unwrap().replayed);
            let (first, answer) = (first.unwrap().1.as_ref().unwrap(), answer.as_ref().unwrap());
            assert_eq!((answer.version, answer.recorded_at), (1, first.recorded_at), "the answer is the first one's");
        }
    }
    assert_eq!(stores[0].collect_log(&LogQuery::all()).await.unwrap().len(), 10 * COMMANDS);
    is_sound(&stores[0]).await;
}

/// Another process rejects a command under a key: it writes no event, so they meet on the receipt alone.
#[tokio::test(flavor = "multi_thread")]
async fn who_meets_another_on_a_key_alone_takes_no_neighbour_along() {
    const WAITS: &str = "SELECT EXISTS (SELECT 1 FROM pg_stat_activity
                         WHERE datname = current_database() AND wait_event_type = 'Lock'
                           AND query LIKE '%with a%key, in a plain INSERT%')";
    for is_kept in [true, false] {
        let database = Database::create().await;
        let store = PostgresStore::connect(database.url()).await.unwrap();
        let [before, met, behind] = ids();
        let key = IdempotencyKey::new(KEY).unwrap();
        let rejection = Append::new("note", met).expected(ExpectedVersion::New).idempotency_key(key);
        let rejection = rejection.rejected("\"not now\"".into()).fingerprint(Fingerprint::of("note this").unwrap());
        let mut holder = store.begin().await.unwrap();
        holder.append(&rejection).await.unwrap();
        let late = tokio::spawn({
            let (store, batch) = (store.clone(), [before, met, behind].map(|id| request(id, 0, KEY)));
            async move { store.append(batch.into()).await }
        });
        let mut operator = database.connection().await;
        let waits = async { while !sqlx::query_scalar::<_, bool>(WAITS).fetch_one(&mut operator).await.unwrap() {} };
        tokio::time::timeout(Duration::from_secs(60), waits).await.expect("a plain INSERT waits");
        if is_kept {
            holder.commit().await.unwrap()
        } else {
            drop(holder)
        }
        let answers = late.await.unwrap();
        assert_eq!([written(&answers[0]), written(&answers[2])], [(1, false), (1, false)]);
        let answer = answers[1].as_ref().unwrap();
        let is_rejected = matches!(answer.outcome, ReceiptOutcome::Rejected { .. });
        assert_eq!((answer.replayed, is_rejected, answer.version), (is_kept, is_kept, u64::from(!is_kept)));
        is_sound(&store).await;
    }
}
