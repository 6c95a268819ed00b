//! Several processes on one file.

use std::{io::Read as _, time::Duration};

use annals::{
    Append, Error, EventStore as _, EventStoreExt as _, ExpectedVersion, Id, NewEvent, Repository, SqliteStore,
    StreamQuery, Transactional as _,
};
use sqlx::Connection as _;
use uuid::Uuid;

use super::{
    child,
    log_check::check_file,
    notes, raw,
    tally::{Tally, TallyCommand},
};

#[tokio::test(flavor = "multi_thread")]
async fn another_writer_is_waited_for_and_then_reported_as_contention() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.db");
    let store = SqliteStore::options().busy_timeout(Duration::from_millis(400)).open(&path).await.unwrap();
    let id = Uuid::now_v7();
    let append = notes(id, ExpectedVersion::New, 2, 10);

    let mut other = raw(&path).await;
    let held = other.begin_with("BEGIN IMMEDIATE").await.unwrap();
    for _ in 0..2 {
        let error = store.append_one(append.clone()).await.unwrap_err();
        assert!(matches!(error, Error::Contention { .. }) && error.is_retryable(), "{error:?}");
        assert!(matches!(store.begin().await.unwrap_err(), Error::Contention { .. }));
        // Who reads does not wait for who writes.
        assert_eq!(store.collect_stream(&StreamQuery::of(id)).await.unwrap().len(), 0);
    }
    held.rollback().await.unwrap();
    let appended = store.append_one(append).await.unwrap();
    assert!(!appended.replayed, "an append that met contention was written all the same");
    assert_eq!(check_file(&store, &path).await.events, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_outlasts_another_writer() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.db");
    let store = SqliteStore::options().busy_timeout(Duration::from_millis(5)).open(&path).await.unwrap();
    let tallies = Repository::<Tally>::new(&store);
    let mut other = raw(&path).await;
    let held = other.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let running = tokio::spawn(async move {
        tallies.execute(Id::natural("one"), &TallyCommand::Add { events: 2 }).await.map(|done| done.version)
    });
    // Refused at least once before the other one lets go.
    assert!(store.append_one(notes(Uuid::now_v7(), ExpectedVersion::New, 1, 1)).await.unwrap_err().is_retryable());
    held.rollback().await.unwrap();
    assert_eq!(running.await.unwrap().unwrap(), 2);
}

/// Appends at any version, and one by one at the version read before, to one aggregate.
async fn append_much(store: &SqliteStore, id: Uuid, name: &str, appends: usize) {
    for number in 0..appends {
        let event = || NewEvent::new("noted", &format!("{name} {number}")).unwrap();
        store.append_one(Append::new("note", id).event(event()).event(event())).await.unwrap();
        loop {
            let version = store.read_stream(&StreamQuery::of(id), &mut |_| Ok(())).await.unwrap().version;
            let exact = Append::new("note", id).expected(ExpectedVersion::Exact(version)).event(event());
            match store.append_one(exact).await {
                Ok(appended) => {
                    assert_eq!(appended.version, version + 1);
                    break;
                }
                Err(error) => assert!(error.is_conflict(), "{error:?}"),
            }
        }
    }
}

const APPENDS: usize = 40;

#[test]
fn child_appends_to_one_aggregate() {
    let Some(path) = child::file() else { return };
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let store = SqliteStore::open(path).await.unwrap();
        append_much(&store, Uuid::nil(), &child::name(), APPENDS).await;
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_append_to_one_aggregate_and_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.db");
    let run = |name| child::command("faults::processes::child_appends_to_one_aggregate", &path, name, &[]).spawn();
    let children = ["one", "two"].map(|name| run(name).unwrap());
    let store = SqliteStore::open(&path).await.unwrap();
    append_much(&store, Uuid::nil(), "three", APPENDS).await;
    for mut child in children {
        let mut said = String::new();
        child.stdout.take().unwrap().read_to_string(&mut said).unwrap();
        assert!(child.wait().unwrap().success(), "{said}");
    }
    assert_eq!(check_file(&store, &path).await.events, 3 * 3 * APPENDS);
    let mut written: Vec<_> = store
        .collect_stream(&StreamQuery::of(Uuid::nil()))
        .await
        .unwrap()
        .iter()
        .map(|event| event.payload().to_owned())
        .collect();
    written.sort();
    let mut expected: Vec<_> = ["one", "three", "two"]
        .iter()
        .flat_map(|name| (0..APPENDS).flat_map(move |number| vec![format!("\"{name} {number}\""); 3]))
        .collect();
    expected.sort();
    assert_eq!(written, expected);
}
