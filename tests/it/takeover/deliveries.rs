//! What a handler was told, in the order it was told, and the effects it had.

use std::{collections::HashSet, fmt, path::Path, sync::Arc};

use annals::{BoxError, EventStoreExt as _, LogQuery, RecordedEvent};
use tokio::sync::Mutex;

use super::place::{Own, on, with_store};

/// Every event of a log, in its order, as the tables of an application name it.
pub async fn log(place: &Path) -> Vec<(String, i64)> {
    with_store!(place, store => {
        let events = store.collect_log(&LogQuery::all()).await.unwrap();
        let log = events.iter().map(names).collect();
        store.close().await;
        log
    })
}

/// How tables of an application name an event.
pub fn names(event: &RecordedEvent) -> (String, i64) {
    (event.aggregate_id().to_string(), i64::try_from(event.sequence()).unwrap())
}

/// The tables of an application's handler, in the store's database.
#[derive(Clone)]
pub struct Deliveries(Arc<Mutex<Own>>);

const ON_SQLITE: &str = "
    CREATE TABLE IF NOT EXISTS deliveries (number INTEGER PRIMARY KEY AUTOINCREMENT, aggregate TEXT, sequence BIGINT);
    CREATE TABLE IF NOT EXISTS effects (aggregate TEXT, sequence BIGINT, PRIMARY KEY (aggregate, sequence))";
#[cfg(feature = "postgres")]
const ON_POSTGRES: &str = "
    CREATE TABLE IF NOT EXISTS deliveries (number BIGSERIAL PRIMARY KEY, aggregate TEXT, sequence BIGINT);
    CREATE TABLE IF NOT EXISTS effects (aggregate TEXT, sequence BIGINT, PRIMARY KEY (aggregate, sequence))";

impl Deliveries {
    /// Makes the tables.
    pub async fn create(place: &Path) {
        match &mut Own::connect(place).await {
            Own::Sqlite(connection) => drop(sqlx::raw_sql(ON_SQLITE).execute(connection).await.unwrap()),
            #[cfg(feature = "postgres")]
            Own::Postgres(connection) => drop(sqlx::raw_sql(ON_POSTGRES).execute(connection).await.unwrap()),
        }
    }

    pub async fn connect(place: &Path) -> Self {
        Self(Arc::new(Mutex::new(Own::connect(place).await)))
    }

    /// Notes that an event was told, and then has its effect: in two commits, so that a kill can come between.
    pub async fn tell(&self, event: &RecordedEvent) -> Result<(), BoxError> {
        let (aggregate, sequence) = names(event);
        on!(&mut *self.0.lock().await, connection => {
            let note = sqlx::query("INSERT INTO deliveries (aggregate, sequence) VALUES ($1, $2)");
            note.bind(&aggregate).bind(sequence).execute(&mut *connection).await?;
            let effect = sqlx::query("INSERT INTO effects (aggregate, sequence) VALUES ($1, $2) ON CONFLICT DO NOTHING");
            effect.bind(&aggregate).bind(sequence).execute(connection).await?;
        });
        Ok(())
    }
}

/// What deliveries came to.
#[derive(Debug)]
pub struct Told {
    pub events: usize,
    pub deliveries: usize,
}

impl Told {
    /// Compares what was told with the log.
    ///
    /// # Panics
    ///
    /// Where an event is missing, or was first told before an earlier one, or has no effect.
    pub async fn judge(place: &Path) -> Self {
        let log = log(place).await;
        let mut own = Own::connect(place).await;
        let told = own.pairs("SELECT aggregate, sequence FROM deliveries ORDER BY number").await;
        let told = Self::compare(&told, &log);
        let mut effects = own.pairs("SELECT aggregate, sequence FROM effects").await;
        let mut sorted = log.clone();
        effects.sort();
        sorted.sort();
        assert_same(&effects, &sorted, "in the effects");
        told
    }

    /// Compares what was told, in the order it was told, with the log.
    ///
    /// # Panics
    ///
    /// As for [`judge`](Self::judge).
    pub fn compare(told: &[(String, i64)], log: &[(String, i64)]) -> Self {
        let mut seen = HashSet::new();
        let first: Vec<_> = told.iter().filter(|event| seen.insert(*event)).cloned().collect();
        // In the order of the whole log, and so in that of each aggregate.
        assert_same(&first, log, "told");
        Self { events: log.len(), deliveries: told.len() }
    }

    pub const fn duplicates(&self) -> usize {
        self.deliveries - self.events
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "events={} deliveries={} duplicates={}", self.events, self.deliveries, self.duplicates())
    }
}

/// Compares two lists of events, and shows where they part and not both.
pub fn assert_same(found: &[(String, i64)], log: &[(String, i64)], what: &str) {
    let apart = found.iter().zip(log).position(|(found, logged)| found != logged);
    if let Some(at) = apart {
        panic!("event {at} {what} is {:?}, and the log has {:?}", found[at], log[at]);
    }
    assert_eq!(found.len(), log.len(), "events {what}");
}
