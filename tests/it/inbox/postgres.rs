//! Two transactions with one message on PostgreSQL, and commits whose replies are lost.

use std::{sync::atomic::AtomicU32, time::Duration};

use annals::{Error, Handled, Inbox, PostgresStore, Transactional as _, Work as _, store::Received};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{effect, effects, handle, message};
use crate::{
    postgres::faults::{
        in_time,
        proxy::{Cut, Kind, Proxy},
    },
    postgres_server::{Database, Server},
};

const IS_WAITED_FOR: &str = "SELECT EXISTS (SELECT FROM pg_stat_activity
                                      WHERE datname = current_database() AND wait_event_type = 'Lock')";

/// Waits until a statement waits for a lock.
async fn somebody_waits(connection: &mut PgConnection) {
    in_time("a wait for a lock", async {
        while !sqlx::query_scalar::<_, bool>(IS_WAITED_FOR).fetch_one(&mut *connection).await.unwrap() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn http_k02_the_second_waits_for_the_firsts_end_and_is_told() {
    let database = Database::create().await;
    let store = PostgresStore::options().lock_timeout(Duration::from_secs(20)).connect(database.url()).await.unwrap();
    let inbox = Inbox::new(&store, "billing").unwrap();
    let mut looking = database.connection().await;
    let [fresh, known, shared, other] = [1, 2, 3, 4].map(Uuid::from_u128);
    for source in [known, shared] {
        let first = message(&source.to_string(), "paid").in_order(source, 1);
        assert!(matches!(handle(&inbox, &first, &AtomicU32::new(0)).await.unwrap(), Handled::New(_)));
    }
    let pairs = [
        // One message; one whose source is new; the next of a source that is known; another at the same place.
        (message("a", "paid"), message("a", "paid")),
        (message("b", "paid").placed(fresh, 1), message("b", "paid").placed(fresh, 1)),
        (message("c", "paid").in_order(known, 2), message("c", "paid").in_order(known, 2)),
        (message("d", "paid").in_order(shared, 2), message("e", "paid").in_order(shared, 2)),
        (message("f", "paid").placed(other, 5), message("g", "paid").placed(other, 4)),
    ];
    for commits in [false, true] {
        for (first, second) in &pairs {
            let mut work = store.begin().await.unwrap();
            assert_eq!(inbox.receive(&mut work, first).await.unwrap(), Received::New);
            let other = tokio::spawn({
                let (store, inbox, second) = (store.clone(), inbox.clone(), second.clone());
                async move {
                    let mut work = store.begin().await.unwrap();
                    (inbox.receive(&mut work, &second).await, work)
                }
            });
            somebody_waits(&mut looking).await;
            match commits {
                true => work.commit().await.unwrap(),
                false => drop(work),
            }
            let (received, work) = in_time("the second", other).await.unwrap();
            let received = received.unwrap();
            assert_eq!(received == Received::New, !commits, "{first:?} {second:?}: {received:?}");
            assert!(matches!(received, Received::New | Received::Duplicate { .. }), "{received:?}");
            // What was found out may be committed with whatever else the transaction has.
            if commits {
                work.commit().await.unwrap();
                assert_eq!(inbox.handled_at(second).await.unwrap().is_some(), first.id() == second.id());
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn http_k02_who_waits_too_long_is_told_of_contention_and_the_next_waits_in_the_order() {
    let database = Database::create().await;
    let store =
        PostgresStore::options().lock_timeout(Duration::from_millis(100)).connect(database.url()).await.unwrap();
    let inbox = Inbox::new(&store, "billing").unwrap();
    for message in [message("a", "paid"), message("b", "paid").placed(Uuid::nil(), 1)] {
        let mut first = store.begin().await.unwrap();
        assert_eq!(inbox.receive(&mut first, &message).await.unwrap(), Received::New);
        let mut second = store.begin().await.unwrap();
        let error = inbox.receive(&mut second, &message).await.unwrap_err();
        assert!(matches!(error, Error::Contention { .. }), "{error:?}");
        assert!(second.append(&effect("billing", message.id())).await.is_err(), "it can only be dropped");
        drop(second);
        first.commit().await.unwrap();
        let handled = handle(&inbox, &message, &AtomicU32::new(0)).await.unwrap();
        assert!(matches!(handled, Handled::Duplicate { .. }));
    }
}

/// A message that was found in the way of another is neither remembered nor lost.
#[tokio::test(flavor = "multi_thread")]
async fn http_k07_who_is_overtaken_by_a_later_message_leaves_nothing() {
    let database = Database::create().await;
    let store = PostgresStore::options().lock_timeout(Duration::from_secs(20)).connect(database.url()).await.unwrap();
    let inbox = Inbox::new(&store, "billing").unwrap();
    let mut looking = database.connection().await;
    let (early, late) = (message("early", "x").placed(Uuid::nil(), 1), message("late", "x").placed(Uuid::nil(), 2));
    let mut first = store.begin().await.unwrap();
    assert_eq!(inbox.receive(&mut first, &late).await.unwrap(), Received::New);
    let other = tokio::spawn({
        let (store, inbox) = (store.clone(), inbox.clone());
        async move {
            let mut work = store.begin().await.unwrap();
            let received = inbox.receive(&mut work, &early).await;
            work.append(&effect("billing", "beside")).await.unwrap();
            work.commit().await.unwrap();
            received
        }
    });
    somebody_waits(&mut looking).await;
    first.commit().await.unwrap();
    let received = in_time("the second", other).await.unwrap().unwrap();
    assert_eq!(received, Received::Duplicate { received_at: None });
    let rows: Vec<(String, i64)> =
        sqlx::query_as("SELECT message_id, sequence FROM annals_inbox JOIN annals_inbox_places USING (consumer)")
            .fetch_all(&mut looking)
            .await
            .unwrap();
    assert_eq!(rows, [("late".to_owned(), 2)]);
    assert_eq!(effects(&store, "billing", "beside").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn http_k05_a_commit_whose_reply_is_lost_has_its_effects_once() {
    let server = Server::options().tcp().start().await.unwrap();
    let proxy = Proxy::start(server.tcp_address().unwrap(), 1).await;
    let store = PostgresStore::connect(&server.tcp_url(proxy.address(), "postgres")).await.unwrap();
    let inbox = Inbox::new(&store, "billing").unwrap();
    let begun = AtomicU32::new(0);
    for (number, cut) in (1_u64..).zip(Cut::ALL) {
        let id = format!("{cut:?}");
        let message = message(&id, "paid").in_order(Uuid::nil(), number);
        proxy.cut_next(Kind::Commit, cut);
        let handling = tokio::spawn({
            let (inbox, message) = (inbox.clone(), message.clone());
            async move { handle(&inbox, &message, &AtomicU32::new(0)).await }
        });
        if cut == Cut::Late {
            in_time("the commit that was late", proxy.late_have_arrived()).await;
        }
        let handled = in_time("the handling", handling).await.unwrap();
        // With the commit that is late it may be given up before it arrives: then it is delivered again.
        assert!(handled.as_ref().map_or(cut == Cut::Late, Handled::is_over), "{cut:?}: {handled:?}");
        let again = handle(&inbox, &message, &begun).await.unwrap();
        assert!(matches!(again, Handled::Duplicate { received_at: Some(_) }), "{cut:?}: {again:?}");
        assert_eq!(effects(&store, "billing", &id).await, 1, "{cut:?}");
    }
}

/// What the application's own SQL meets with others counts as well: a deadlock is begun again.
#[tokio::test(flavor = "multi_thread")]
async fn http_k04_a_deadlock_of_the_effects_is_begun_again() {
    let database = Database::create().await;
    let store = PostgresStore::options().lock_timeout(Duration::from_secs(20)).connect(database.url()).await.unwrap();
    sqlx::raw_sql("CREATE TABLE own (id int PRIMARY KEY, n int NOT NULL); INSERT INTO own VALUES (1, 0), (2, 0)")
        .execute(&mut database.connection().await)
        .await
        .unwrap();
    let barrier = tokio::sync::Barrier::new(2);
    let inbox = Inbox::new(&store, "billing").unwrap();
    let handle = |id: &'static str, rows: [i32; 2]| {
        let (inbox, barrier, began) = (inbox.clone(), &barrier, AtomicU32::new(0));
        async move {
            let began = &began;
            inbox
                .handle(&message(id, "paid"), |work| {
                    Box::pin(async move {
                        let add = || sqlx::query("UPDATE own SET n = n + 1 WHERE id = $1");
                        add().bind(rows[0]).execute(work.connection()).await?;
                        if began.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 0 {
                            barrier.wait().await;
                        }
                        add().bind(rows[1]).execute(work.connection()).await?;
                        Ok(())
                    })
                })
                .await
                .map(|handled| (handled, began.load(std::sync::atomic::Ordering::Relaxed)))
        }
    };
    let (one, other) = tokio::join!(handle("a", [1, 2]), handle("b", [2, 1]));
    let ((one, began_one), (other, began_other)) = (one.unwrap(), other.unwrap());
    assert_eq!((one, other), (Handled::New(()), Handled::New(())));
    assert!(began_one + began_other > 2, "one of them was taken back");
    let sums: Vec<i32> =
        sqlx::query_scalar("SELECT n FROM own ORDER BY id").fetch_all(&mut database.connection().await).await.unwrap();
    assert_eq!(sums, [2, 2]);
}
