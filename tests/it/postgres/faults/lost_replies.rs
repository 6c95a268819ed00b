//! Single replies that are lost, and what asking again finds out.

use annals::{
    Append, Error, EventStore as _, EventStoreExt as _, ExpectedVersion, IdempotencyKey, LogQuery, PostgresStore,
    StreamQuery, Transactional as _, Work as _,
};
use uuid::Uuid;

use super::{
    in_time,
    proxy::{Cut, Kind, Proxy},
    raw,
};
use crate::{faults::notes, postgres_server::Server};

async fn through_a_proxy() -> (Server, Proxy, PostgresStore) {
    let server = Server::options().tcp().start().await.unwrap();
    let proxy = Proxy::start(server.tcp_address().unwrap(), 1).await;
    let store = PostgresStore::connect(&server.tcp_url(proxy.address(), "postgres")).await.unwrap();
    (server, proxy, store)
}

/// Whether a request that is cut there has been committed all the same, where that is certain.
const fn is_committed(cut: Cut) -> Option<bool> {
    match cut {
        Cut::BeforeRequest | Cut::BeforeCommit | Cut::Late => Some(false),
        Cut::AfterCommit | Cut::AmidReply => Some(true),
        // It may be at it still.
        Cut::Underway => None,
    }
}

async fn events(store: &PostgresStore, id: Uuid) -> usize {
    store.collect_stream(&StreamQuery::of(id)).await.unwrap().len()
}

/// Appends of every kind that can be sent again.
fn appends() -> Vec<Append> {
    let new = || notes(Uuid::now_v7(), ExpectedVersion::New, 2, 10);
    let any = notes(Uuid::now_v7(), ExpectedVersion::Any, 2, 10);
    vec![new(), any, new().idempotency_key(IdempotencyKey::random())]
}

#[tokio::test(flavor = "multi_thread")]
async fn an_append_whose_reply_is_lost_is_an_unknown_outcome_and_is_there_once_when_sent_again() {
    let (_server, proxy, store) = through_a_proxy().await;
    for cut in Cut::ALL {
        for append in appends() {
            let id = append.aggregate_id;
            // The statement is prepared: what is cut is its execution.
            store.append_one(notes(Uuid::now_v7(), ExpectedVersion::New, 1, 1)).await.unwrap();
            proxy.cut_next(Kind::Append, cut);
            let error = store.append_one(append.clone()).await.unwrap_err();
            assert!(error.is_outcome_unknown() && !error.is_retryable(), "{cut:?}: {error:?}");
            let again = store.append_one(append.clone()).await.unwrap();
            assert_eq!((again.first_sequence, again.version), (1, 2), "{cut:?}");
            if let Some(is_committed) = is_committed(cut) {
                assert_eq!(again.replayed, is_committed, "{cut:?}");
            }
            in_time("what was late", proxy.late_have_arrived()).await;
            let last = store.append_one(append).await.unwrap();
            assert_eq!((last.position, last.replayed), (again.position, true), "{cut:?}");
            assert_eq!(events(&store, id).await, 2, "{cut:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_whose_commit_is_cut_is_an_unknown_outcome_and_its_append_is_answered_again() {
    let (server, proxy, store) = through_a_proxy().await;
    let mut own = raw(&server.url("postgres")).await;
    sqlx::query("CREATE TABLE own (id uuid)").execute(&mut own).await.unwrap();
    for cut in Cut::ALL {
        let append = notes(Uuid::now_v7(), ExpectedVersion::New, 2, 10);
        let mut work = store.begin().await.unwrap();
        let first = work.append(&append).await.unwrap();
        let insert = sqlx::query("INSERT INTO own VALUES ($1)").bind(append.aggregate_id);
        insert.execute(work.connection()).await.unwrap();
        proxy.cut_next(Kind::Commit, cut);
        let error = work.commit().await.unwrap_err();
        assert!(error.is_outcome_unknown() && !error.is_retryable(), "{cut:?}: {error:?}");
        if cut == Cut::Late {
            // Its first attempt still holds the place that the second one needs: that is busy, and nothing is written.
            let busy = store.append_one(append.clone()).await.unwrap_err();
            assert!(matches!(busy, Error::Contention { .. }), "{busy:?}");
            in_time("the commit that was late", proxy.late_have_arrived()).await;
        }
        let again = store.append_one(append.clone()).await.unwrap();
        let is_committed = if cut == Cut::Late { Some(true) } else { is_committed(cut) };
        if let Some(is_committed) = is_committed {
            assert_eq!(again.replayed, is_committed, "{cut:?}");
        }
        assert!(!again.replayed || again.position == first.position, "{cut:?}");
        let rows = sqlx::query_scalar("SELECT count(*) FROM own WHERE id = $1").bind(append.aggregate_id);
        let rows: i64 = rows.fetch_one(&mut own).await.unwrap();
        assert_eq!((rows, events(&store, append.aggregate_id).await), (i64::from(again.replayed), 2), "{cut:?}");
    }
}

/// The error of a read that is cut. A notice to other processes, which goes beside it, may draw the cut upon itself.
async fn cut_short<T: std::fmt::Debug>(read: impl AsyncFn() -> Result<T, Error>) -> Error {
    for _ in 0..20 {
        if let Err(error) = read().await {
            return error;
        }
    }
    panic!("no read was cut")
}

/// A read that is cut has sent nothing that could be written.
#[tokio::test(flavor = "multi_thread")]
async fn a_read_that_is_cut_can_be_retried() {
    let (_server, proxy, store) = through_a_proxy().await;
    let id = Uuid::now_v7();
    store.append_one(notes(id, ExpectedVersion::New, 2, 10)).await.unwrap();
    assert_eq!(events(&store, id).await, 2);
    for cut in [Cut::BeforeRequest, Cut::BeforeCommit, Cut::AfterCommit, Cut::AmidReply, Cut::Underway] {
        let error = cut_short(async || {
            proxy.cut_next(Kind::Other, cut);
            store.collect_stream(&StreamQuery::of(id)).await
        });
        let error = error.await;
        assert!(matches!(error, Error::Unavailable { .. }) && error.is_retryable(), "{cut:?}: {error:?}");
        assert_eq!(events(&store, id).await, 2);
        let error = cut_short(async || {
            proxy.cut_next(Kind::Other, cut);
            store.collect_log(&LogQuery::all()).await
        });
        let error = error.await;
        assert!(matches!(error, Error::Unavailable { .. }), "{cut:?}: {error:?}");
    }
    assert_eq!(store.head().await.unwrap().get(), 2);
}

/// Whoever waits for a standby to confirm a commit has committed.
const WAITING_FOR_STANDBY: &str = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep'";

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_ended_while_its_commit_waits_for_a_standby_has_committed_and_says_unknown() {
    // Who asks for it waits for a standby that never comes; by default nobody does.
    let standby = Server::options().setting("synchronous_standby_names", "nobody");
    let server = standby.setting("synchronous_commit", "local").start().await.unwrap();
    let url = server.url("postgres");
    let store = PostgresStore::connect(&url).await.unwrap();
    let waiting_store = PostgresStore::connect(&format!("{url}&options=-c%20synchronous_commit%3Don")).await.unwrap();
    let mut operator = raw(&url).await;
    let append = notes(Uuid::now_v7(), ExpectedVersion::New, 2, 10);
    let sent = {
        let append = append.clone();
        tokio::spawn(async move { waiting_store.append_one(append).await })
    };
    let waiting = in_time("the wait for a standby", async {
        loop {
            let found = sqlx::query_scalar::<_, i32>(WAITING_FOR_STANDBY).fetch_optional(&mut operator).await.unwrap();
            if let Some(pid) = found {
                return pid;
            }
        }
    });
    let ended = sqlx::query("SELECT pg_terminate_backend($1)").bind(waiting.await);
    ended.execute(&mut operator).await.unwrap();
    let error = sent.await.unwrap().unwrap_err();
    assert!(error.is_outcome_unknown(), "{error:?}");
    let again = store.append_one(append.clone()).await.unwrap();
    assert_eq!((again.first_sequence, again.version, again.replayed), (1, 2, true));
    assert_eq!(events(&store, append.aggregate_id).await, 2);
}
