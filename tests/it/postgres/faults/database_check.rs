//! The check of a whole database, after a campaign.

use annals::{EventStore as _, PostgresStore};
use sqlx::Row as _;

use super::raw;
use crate::faults::{
    ledger::Ledger,
    log_check::{Checked, check_log},
};

/// Ends whoever is still connected, as a process that was killed leaves its backends at work, and waits for that.
const END_OTHERS: &str = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'";

/// Checks a database that nobody uses any more: the log, and that readers of the log are shown every row.
pub async fn check_database(url: &str) -> (PostgresStore, Checked) {
    let mut connection = raw(url).await;
    sqlx::query(END_OTHERS).execute(&mut connection).await.unwrap();
    let store = PostgresStore::connect(url).await.unwrap();
    let checked = check_log(&store).await;
    let rows = sqlx::query("SELECT count(*), max(position) FROM annals_events");
    let rows = rows.fetch_one(&mut connection).await.unwrap();
    assert_eq!(rows.get::<i64, _>(0), i64::try_from(checked.events).unwrap(), "a reader of the log has missed events");
    let last = rows.get::<Option<i64>, _>(1).unwrap_or(0);
    assert_eq!(store.head().await.unwrap().get(), last.unsigned_abs());
    (store, checked)
}

/// The end of a campaign: checks the database, compares it with what was answered, and prints the figures in one line.
pub async fn conclude(url: &str, ledger: &Ledger, campaign: &str) {
    let (store, checked) = check_database(url).await;
    let figures = ledger.compare(&store, &checked).await;
    println!("figures: {campaign} {figures} events={} receipts={}", checked.events, checked.receipts);
    figures.assert_sound();
    store.close().await;
    let (_, after) = check_database(url).await;
    assert_eq!((after.events, after.receipts), (checked.events, checked.receipts), "asking again has written");
}
