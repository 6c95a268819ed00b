//! On PostgreSQL.

use std::{sync::Arc, time::Duration};

use annals::{ManualClock, PostgresStore, store::Renewal};

use crate::postgres_server::Database;

async fn open(clock: Arc<ManualClock>) -> (PostgresStore, Database) {
    let database = Database::create().await;
    let options = PostgresStore::options().shared_clock(clock).lock_timeout(Duration::from_millis(50));
    (options.connect(database.url()).await.unwrap(), database)
}

super::on_transactions!(open);

#[tokio::test]
async fn a_sign_of_life_passes_over_a_batch_and_a_claim_waits_for_it() {
    let clock = super::clock();
    let (store, _database) = open(Arc::clone(&clock)).await;
    let lease = super::lease(&store, super::sales(), "runner").await;
    let mut work = store.begin().await.unwrap();
    assert!(work.advance(&lease, &super::to(0, 2, &[])).await.unwrap());
    assert_eq!(store.renew(&lease).await.unwrap(), Renewal::Busy);
    clock.advance(super::LEASE);
    let error = store.claim(&super::claim(super::sales(), "other")).await.unwrap_err();
    assert!(matches!(error, Error::Contention { .. }), "{error:?}");
    work.commit().await.unwrap();
    assert_eq!(store.renew(&lease).await.unwrap(), Renewal::Renewed);
}

/// A claim that comes while an event is unparked waits as well: two would otherwise both handle it.
#[tokio::test]
async fn who_takes_over_waits_for_an_event_that_is_being_unparked() {
    let clock = super::clock();
    let (store, _database) = open(Arc::clone(&clock)).await;
    let lease = super::lease(&store, super::sales(), "runner").await;
    assert!(store.advance(&lease, &super::to(0, 2, &[super::poisoned(1, "no")])).await.unwrap());
    let mut work = store.begin().await.unwrap();
    assert!(work.unpark(&lease, uuid::Uuid::from_u128(1), 1).await.unwrap());
    clock.advance(super::LEASE);
    let error = store.claim(&super::claim(super::sales(), "other")).await.unwrap_err();
    assert!(matches!(error, Error::Contention { .. }), "{error:?}");
    drop(work);
    let error = store.repartition("sales", 2).await.unwrap_err();
    assert!(matches!(error, Error::Invalid { .. }), "{error:?}");
}

#[tokio::test]
async fn a_runner_that_falls_silent_holds_nobody_up_for_longer_than_its_lease() {
    let (store, _database) = open(super::clock()).await;
    let lease = super::lease(&store, super::sales(), "runner").await;
    let mut work = store.begin().await.unwrap();
    assert!(work.hold(&lease).await.unwrap());
    let settings =
        "SELECT current_setting('idle_in_transaction_session_timeout') || ' ' || current_setting('lock_timeout')";
    let told = sqlx::query_scalar::<_, String>(settings).fetch_one(work.connection()).await.unwrap();
    assert_eq!(told, "30s 50ms");
    work.commit().await.unwrap();
    let mut work = store.begin().await.unwrap();
    let told = sqlx::query_scalar::<_, String>(settings).fetch_one(work.connection()).await.unwrap();
    assert_eq!(told, "0 50ms", "it ends with the transaction");
}

#[tokio::test]
async fn a_view_that_keeps_its_columns_keeps_who_may_read_it() {
    let (store, _database) = open(super::clock()).await;
    commit_script(&store, "CREATE TABLE sales__1 (amount BIGINT); CREATE TABLE sales__2 (amount BIGINT)").await;
    let mut work = store.begin().await.unwrap();
    work.show_table("sales", "sales__1").await.unwrap();
    work.run_script("GRANT SELECT ON sales TO PUBLIC").await.unwrap();
    work.show_table("sales", "sales__2").await.unwrap();
    let granted = "SELECT relacl::text FROM pg_class WHERE relname = 'sales'";
    let granted = sqlx::query_scalar::<_, String>(granted).fetch_one(work.connection()).await.unwrap();
    assert!(granted.contains("=r/"), "{granted}");
    work.commit().await.unwrap();
}
