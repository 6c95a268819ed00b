//! A database that may only be read.

use annals::{Error, EventStore as _, EventStoreExt as _, ExpectedVersion, Fault, LogQuery, SqliteStore};
use annals::{StreamQuery, Transactional as _, Work as _};
use uuid::Uuid;

use super::{fault_of, notes};

#[tokio::test(flavor = "multi_thread")]
async fn a_file_opened_to_read_is_read_and_never_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.db");
    let id = Uuid::now_v7();
    let first = notes(id, ExpectedVersion::New, 3, 10);
    let store = SqliteStore::open(&path).await.unwrap();
    store.append_one(first.clone()).await.unwrap();
    store.close().await;
    let before = std::fs::read(&path).unwrap();

    let url = format!("sqlite:{}?mode=ro", path.display());
    let reader = SqliteStore::connect(&url).await.unwrap();
    assert_eq!(reader.collect_stream(&StreamQuery::of(id)).await.unwrap().len(), 3);
    assert_eq!(reader.collect_log(&LogQuery::all()).await.unwrap().len(), 3);
    assert_eq!(reader.head().await.unwrap().get(), 3);
    // What was written before is answered; nothing else is written.
    assert!(reader.append_one(first).await.unwrap().replayed);
    let another = notes(id, ExpectedVersion::Any, 1, 10);
    for _ in 0..3 {
        let error = reader.append_one(another.clone()).await.unwrap_err();
        assert_eq!(fault_of(&error), Some(Fault::ReadOnly), "{error:?}");
        let mut work = reader.begin().await.unwrap();
        let error = work.append(&another).await.unwrap_err();
        assert_eq!(fault_of(&error), Some(Fault::ReadOnly), "{error:?}");
    }
    reader.close().await;
    assert!(std::fs::read(&path).unwrap() == before, "the file was changed");

    // It reads what another process writes meanwhile.
    let reader = SqliteStore::connect(&url).await.unwrap();
    let writer = SqliteStore::open(&path).await.unwrap();
    writer.append_one(notes(id, ExpectedVersion::Exact(3), 2, 10)).await.unwrap();
    assert_eq!(reader.collect_stream(&StreamQuery::of(id)).await.unwrap().len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_without_the_schema_cannot_be_opened_to_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.db");
    let url = format!("sqlite:{}?mode=ro", path.display());
    assert!(matches!(SqliteStore::connect(&url).await.unwrap_err(), Error::Unavailable { .. }));
    assert!(!path.exists());
    std::fs::write(&path, []).unwrap();
    assert!(matches!(SqliteStore::connect(&url).await.unwrap_err(), Error::Schema { .. }));
    assert_eq!(std::fs::read(&path).unwrap(), [0_u8; 0]);
}
