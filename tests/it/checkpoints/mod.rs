//! Checkpoints that move within a transaction, and the tables that move with them.

use std::{sync::Arc, time::Duration};

use annals::{
    CheckpointStore, Consumer, ConsumerKind, Cursor, ManualClock, Position,
    store::{Claim, Claimed, Lease, NewParkedEvent, Step},
};
use uuid::Uuid;

#[cfg(feature = "postgres")]
mod postgres;
mod sqlite;

const LEASE: Duration = Duration::from_secs(30);

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(chrono::DateTime::from_timestamp(1_700_000_000, 0).unwrap()))
}

fn sales() -> Consumer {
    Consumer::new("sales").unwrap()
}

fn claim(consumer: Consumer, owner: &str) -> Claim {
    let (kind, start) = (ConsumerKind::Projection, Cursor::START);
    Claim { consumer, kind, version: 1, start: Some(start), owner: owner.into(), length: LEASE, by_force: false }
}

async fn lease(store: &dyn CheckpointStore, consumer: Consumer, owner: &str) -> Lease {
    match store.claim(&claim(consumer, owner)).await.unwrap() {
        Claimed::Taken(taken) => Lease { consumer: taken.consumer, fence: taken.fence, length: LEASE },
        Claimed::Refused(found) => panic!("the lease is free: {found:?}"),
    }
}

fn to(from: u64, to: u64, parked: &[NewParkedEvent]) -> Step<'_> {
    let to = Cursor { position: Position::new(to), event: None };
    Step { from: Position::new(from), to, parked }
}

fn poisoned(aggregate: u128, error: &str) -> NewParkedEvent {
    NewParkedEvent {
        position: Position::new(1),
        aggregate_id: Uuid::from_u128(aggregate),
        sequence: 1,
        error: Some(error.to_owned()),
        attempts: 1,
    }
}

/// Makes a test of each behaviour, on the stores of a factory that takes the clock.
macro_rules! on_transactions {
    ($open:path) => {
        use annals::{
            CheckpointStore as _, Error, Transactional as _, Work as _,
            store::{CheckpointWork as _, ParkedQuery},
        };

        async fn commit_script(store: &impl annals::Transactional<Work: annals::store::CheckpointWork>, script: &str) {
            let mut work = store.begin().await.unwrap();
            work.run_script(script).await.unwrap();
            work.commit().await.unwrap();
        }

        #[tokio::test]
        async fn store_p7_a_move_falls_with_its_transaction() {
            let (store, _site) = $open(super::clock()).await;
            let lease = super::lease(&store, super::sales(), "runner").await;
            let parked = [super::poisoned(1, "no")];
            for is_kept in [false, true] {
                let mut work = store.begin().await.unwrap();
                assert!(work.hold(&lease).await.unwrap());
                work.run_script("CREATE TABLE sales__1 (amount BIGINT); INSERT INTO sales__1 VALUES (3)")
                    .await
                    .unwrap();
                assert!(work.set_build(&lease, 1, 1).await.unwrap());
                assert!(work.advance(&lease, &super::to(0, 2, &parked)).await.unwrap());
                let within = work.lock_checkpoint(&super::sales()).await.unwrap().unwrap();
                assert_eq!((within.cursor.position.get(), within.build), (2, 1));
                let mut seen = 0;
                if is_kept {
                    work.commit().await.unwrap();
                    store.moved(&mut seen).await;
                } else {
                    drop(work);
                }
                let found = store.checkpoint(&super::sales()).await.unwrap().unwrap();
                let expected = if is_kept { (2, 1, 1, 1) } else { (0, 0, 0, 0) };
                let parked = store.count_parked("sales").await.unwrap();
                assert_eq!((found.cursor.position.get(), found.build, parked, seen), expected);
            }
        }

        #[tokio::test]
        async fn a_late_holder_changes_nothing_within_a_transaction() {
            let clock = super::clock();
            let (store, _site) = $open(std::sync::Arc::clone(&clock)).await;
            let late = super::lease(&store, super::sales(), "late").await;
            assert!(store.advance(&late, &super::to(0, 1, &[super::poisoned(1, "no")])).await.unwrap());
            clock.advance(super::LEASE);
            let lease = super::lease(&store, super::sales(), "new").await;
            let before = store.checkpoint(&super::sales()).await.unwrap();
            let mut work = store.begin().await.unwrap();
            assert!(!work.hold(&late).await.unwrap());
            assert!(!work.advance(&late, &super::to(1, 2, &[super::poisoned(2, "no")])).await.unwrap());
            assert!(!work.unpark(&late, uuid::Uuid::from_u128(1), 1).await.unwrap());
            assert!(!work.set_build(&late, 7, 7).await.unwrap());
            assert!(!work.swap_build(&late, &super::sales()).await.unwrap());
            work.commit().await.unwrap();
            assert_eq!(store.checkpoint(&super::sales()).await.unwrap(), before);
            assert_eq!(store.count_parked("sales").await.unwrap(), 1);
            let mut work = store.begin().await.unwrap();
            assert!(work.unpark(&lease, uuid::Uuid::from_u128(1), 1).await.unwrap());
            work.commit().await.unwrap();
            assert_eq!(store.count_parked("sales").await.unwrap(), 0);
        }

        #[tokio::test]
        async fn a_view_shows_one_build_and_then_another() {
            let (store, _site) = $open(super::clock()).await;
            commit_script(
                &store,
                "CREATE TABLE sales__1 (amount BIGINT); INSERT INTO sales__1 VALUES (1);
                 CREATE TABLE sales__2 (amount BIGINT); INSERT INTO sales__2 VALUES (2);
                 CREATE TABLE sales__3 (country TEXT, amount BIGINT); INSERT INTO sales__3 VALUES ('NL', 3)",
            )
            .await;
            for build in 1..=3_i64 {
                let mut work = store.begin().await.unwrap();
                work.show_table("sales", &format!("sales__{build}")).await.unwrap();
                work.commit().await.unwrap();
                let mut work = store.begin().await.unwrap();
                let shown = sqlx::query_scalar::<_, i64>("SELECT amount FROM sales").fetch_one(work.connection());
                assert_eq!(shown.await.unwrap(), build);
            }
        }

        #[tokio::test]
        async fn names_and_scripts_that_cannot_be_are_refused_and_nothing_is_kept() {
            let (store, _site) = $open(super::clock()).await;
            commit_script(&store, "CREATE TABLE sales__1 (amount BIGINT); CREATE TABLE taken (amount BIGINT)").await;
            for (view, table) in [("taken", "sales__1"), ("sales", "nowhere")] {
                let mut work = store.begin().await.unwrap();
                work.run_script("CREATE TABLE beside (n BIGINT)").await.unwrap();
                let error = work.show_table(view, table).await.unwrap_err();
                assert!(matches!(error, Error::Schema { .. }), "{error:?}");
                assert!(error.to_string().contains(view), "{error}");
                let error = work.commit().await.unwrap_err();
                assert!(matches!(error, Error::Backend { .. }), "{error:?}");
            }
            let mut work = store.begin().await.unwrap();
            let error = work.run_script("CREATE TABLE beside (n BIGINT); CREATE TABEL wrong").await.unwrap_err();
            assert!(matches!(&error, Error::Schema { source: Some(_), .. }), "{error:?}");
            assert!(matches!(work.commit().await.unwrap_err(), Error::Backend { .. }));
            commit_script(&store, "CREATE TABLE beside (n BIGINT)").await;
            let mut work = store.begin().await.unwrap();
            for name in ["", "Sales", "sales\"; DROP TABLE taken; --", "1st"] {
                let error = work.show_table(name, "sales__1").await.unwrap_err();
                assert!(matches!(error, Error::Invalid { .. }), "{error:?}");
                let error = work.show_table("sales", name).await.unwrap_err();
                assert!(matches!(error, Error::Invalid { .. }), "{error:?}");
            }
            work.commit().await.unwrap();
        }

        #[tokio::test]
        async fn a_rebuild_takes_the_place_of_what_is_shown() {
            let (store, _site) = $open(super::clock()).await;
            let shown = super::lease(&store, super::sales(), "runner").await;
            assert!(store.advance(&shown, &super::to(0, 4, &[super::poisoned(1, "old")])).await.unwrap());
            store.note_failure(&shown, "no").await.unwrap();
            let rebuild = super::lease(&store, super::sales().rebuild(), "builder").await;
            assert!(store.advance(&rebuild, &super::to(0, 3, &[super::poisoned(2, "new")])).await.unwrap());
            let mut work = store.begin().await.unwrap();
            assert!(work.set_build(&rebuild, 2, 5).await.unwrap());
            work.commit().await.unwrap();

            let mut work = store.begin().await.unwrap();
            let error = work.swap_build(&rebuild, &super::sales()).await.unwrap_err();
            assert!(matches!(error, Error::Invalid { .. }), "it is behind: {error:?}");
            drop(work);
            assert!(store.advance(&rebuild, &super::to(3, 4, &[])).await.unwrap());
            let mut work = store.begin().await.unwrap();
            assert!(work.swap_build(&rebuild, &super::sales()).await.unwrap());
            work.commit().await.unwrap();

            let found = store.checkpoints(None).await.unwrap();
            let [found] = found.as_slice() else { panic!("that of the rebuild is gone: {found:?}") };
            assert_eq!((found.build, found.version, found.cursor.position.get()), (2, 5, 4));
            assert_eq!((found.fence, &found.lease, &found.failure), (shown.fence + 1, &None, &None));
            assert!(!store.advance(&shown, &super::to(4, 5, &[])).await.unwrap(), "its runner has lost the lease");
            let all =
                ParkedQuery { name: "sales".to_owned(), aggregate_id: None, after: annals::Position::START, limit: 9 };
            let parked = store.parked(&all).await.unwrap();
            assert_eq!(parked.iter().map(|event| event.error.as_deref()).collect::<Vec<_>>(), [Some("new")]);
            assert_eq!(store.count_parked("sales (rebuild)").await.unwrap(), 0);
        }
    };
}
use on_transactions;
