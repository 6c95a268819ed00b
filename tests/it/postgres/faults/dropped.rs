//! Callers who go away, at any of their await points, under load.

use annals::{
    EventStoreExt as _, ExpectedVersion, LogQuery, PostgresStore, StreamQuery, Transactional as _, Work as _,
};
use uuid::Uuid;

use super::{database_check::conclude, in_time, load::Load};
use crate::{
    faults::{
        dropped::{dropped_appends, dropped_commands, for_every_await_point, within, writer_is_usable},
        notes,
    },
    postgres_server::Database,
};

const TASKS: usize = 6;

/// A read that nobody waits for leaves a connection behind on which the next one reads its own rows.
async fn dropped_reads(store: &PostgresStore) {
    let id = Uuid::now_v7();
    store.append_one(notes(id, ExpectedVersion::New, 40, 2000)).await.unwrap();
    for_every_await_point(1, |polls| async move {
        let read = within(polls, store.collect_stream(&StreamQuery::of(id))).await;
        let log = within(polls, store.collect_log(&LogQuery::all().limit(50))).await;
        assert_eq!(store.collect_stream(&StreamQuery::of(id)).await.unwrap().len(), 40);
        assert!(read.as_ref().is_none_or(|events| events.as_ref().is_ok_and(|events| events.len() == 40)));
        read.is_some() && log.is_some()
    })
    .await;
}

async fn dropped_work(store: &PostgresStore) {
    for_every_await_point(1, |polls| async move {
        let (one, two) = (Uuid::now_v7(), Uuid::now_v7());
        let first = notes(one, ExpectedVersion::New, 3, 20);
        let ended = within(polls, async {
            let mut work = store.begin().await.unwrap();
            work.append(&first).await.unwrap();
            sqlx::query("INSERT INTO own (id) VALUES ($1)").bind(one).execute(work.connection()).await.unwrap();
            work.append(&notes(two, ExpectedVersion::New, 1, 20)).await.unwrap();
            work.commit().await.unwrap();
        })
        .await;
        // It waits for what is still under way.
        let again = store.append_one(first.clone()).await.unwrap();
        let second = store.collect_stream(&StreamQuery::of(two)).await.unwrap().len();
        let mut work = store.begin().await.unwrap();
        let own = sqlx::query_scalar("SELECT count(*) FROM own WHERE id = $1").bind(one);
        let own: i64 = own.fetch_one(work.connection()).await.unwrap();
        assert!(matches!((again.replayed, own, second), (true, 1, 1) | (false, 0, 0)), "{again:?} {own} {second}");
        assert!(ended.is_none() || again.replayed);
        drop(work);
        writer_is_usable(store).await;
        ended.is_some()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_goes_away_under_load_leaves_all_or_nothing() {
    let database = Database::create().await;
    // One connection of each kind: whoever kept it would stop all others.
    let options = PostgresStore::options().writers(2).readers(2).works(1).acquire_timeout(super::LONGEST_WAIT);
    let store = options.connect(database.url()).await.unwrap();
    sqlx::query("CREATE TABLE own (id uuid)").execute(&mut database.connection().await).await.unwrap();
    let load = Load::start(&store, TASKS);
    for _ in 0..3 {
        in_time("dropped appends", dropped_appends(&store)).await;
        in_time("dropped commands", dropped_commands(&store)).await;
        in_time("dropped reads", dropped_reads(&store)).await;
        in_time("dropped transactions", dropped_work(&store)).await;
    }
    let (ledger, unknown) = load.end().await;
    assert_eq!(unknown, 0, "nothing has failed here");
    store.close().await;
    conclude(database.url(), &ledger, "dropped").await;
}
