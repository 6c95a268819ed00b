//! A standby shows no locks: whatever needs the horizon is refused there.

use std::{fs, os::unix::fs::PermissionsExt as _};

use annals::{
    Error, EventStore as _, EventStoreExt as _, Fault, LogQuery, Position, PostgresStore, Selection,
    Transactional as _, Work as _,
};

use super::{KINDS, append, page};
use crate::postgres_server::Server;

fn is_read_only<T>(answer: &Result<T, Error>) -> bool {
    matches!(answer, Err(Error::Backend { fault: Fault::ReadOnly, .. }))
}

#[tokio::test]
async fn on_a_standby_nothing_is_read_past_a_hole_and_nothing_chosen_or_waited_for() {
    let mut server = Server::start().await;
    let store = PostgresStore::connect(&server.url("postgres")).await.unwrap();
    store.append_one(append(2)).await.unwrap();
    let mut open = store.begin().await.unwrap();
    open.append(&append(1)).await.unwrap();
    store.append_one(append(1)).await.unwrap();
    drop(open);
    store.close().await;

    server.stop().await;
    let signal = server.folder().join("data/standby.signal");
    fs::write(&signal, "").unwrap();
    fs::set_permissions(&signal, fs::Permissions::from_mode(0o666)).unwrap();
    server.start_again().await;
    let store = PostgresStore::connect(&server.url("postgres")).await.unwrap();
    // Rows that run on hide nothing, wherever they are read.
    assert_eq!(page(&store, &LogQuery::all().limit(2)).await, (vec![1, 2], Position::new(2)));
    let read = |query: LogQuery| {
        let store = store.clone();
        async move { store.read_log(&query, &mut |_| Ok(())).await }
    };
    assert!(is_read_only(&read(LogQuery::all()).await));
    assert!(is_read_only(&read(LogQuery::all().after(Position::new(2))).await));
    assert!(is_read_only(&read(LogQuery::all().select(Selection::all().aggregate_types(KINDS))).await));
    assert!(is_read_only(&store.head().await));
    assert!(is_read_only(&store.horizon().await));
    assert!(is_read_only(&store.wait_for(Position::new(4)).await));
    assert!(is_read_only(&store.append_one(append(1)).await));
}
