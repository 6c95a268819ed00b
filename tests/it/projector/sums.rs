//! The projection of these tests: the sum of each notebook's numbers.

use std::{
    fmt,
    sync::{Arc, Mutex},
};

use annals::{BoxError, Projection, RecordedEvent, Selection, Table, Target};
#[cfg(feature = "postgres")]
use sqlx::PgConnection;
use sqlx::SqliteConnection;
use tokio::sync::Semaphore;

/// Says what happens to a number.
type Judge = Arc<dyn Fn(u64) -> Result<(), BoxError> + Send + Sync>;

/// The sum of each notebook's numbers. Any event that is applied twice, or left out, shows.
#[derive(Clone)]
pub struct Sums {
    pub name: &'static str,
    pub version: u32,
    /// What each number is multiplied by.
    pub factor: i64,
    pub judge: Judge,
    /// The numbers that were applied, whatever became of the transaction.
    pub applied: Arc<Mutex<Vec<u64>>>,
    /// The numbers that effects were had for.
    pub effects: Arc<Mutex<Vec<u64>>>,
    /// Effects take their time.
    pub effects_pause: bool,
    /// Behind its statements each event takes a permit, where there is a gate.
    pub gate: Option<Arc<Semaphore>>,
}

impl Default for Sums {
    fn default() -> Self {
        Self {
            name: "sums",
            version: 1,
            factor: 1,
            judge: Arc::new(|_| Ok(())),
            applied: Arc::default(),
            effects: Arc::default(),
            effects_pause: false,
            gate: None,
        }
    }
}

impl fmt::Debug for Sums {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sums").field("name", &self.name).finish_non_exhaustive()
    }
}

pub fn number(event: &RecordedEvent) -> u64 {
    event.payload().parse().unwrap()
}

const SUMS: Table = Table::new(
    "sums",
    "CREATE TABLE {sums} (
         notebook TEXT PRIMARY KEY,
         events BIGINT NOT NULL,
         total BIGINT NOT NULL,
         CONSTRAINT {sums}_are_small CHECK (total < 1000000)
     );
     CREATE INDEX {sums}_by_total ON {sums} (total)",
);

/// Refers to a table of the application's, and is checked at COMMIT.
const KNOWN: Table = Table::new(
    "known",
    "CREATE TABLE {known} (number BIGINT PRIMARY KEY REFERENCES {known} (number) DEFERRABLE INITIALLY DEFERRED)",
);

const ADD: &str = "INSERT INTO {sums} (notebook, events, total) VALUES ($1, 1, $2)
    ON CONFLICT (notebook) DO UPDATE SET events = {sums}.events + 1, total = {sums}.total + excluded.total";

macro_rules! projection_on {
    ($connection:ty) => {
        impl Projection<$connection> for Sums {
            fn name(&self) -> &str {
                self.name
            }

            fn version(&self) -> u32 {
                self.version
            }

            fn selection(&self) -> Selection {
                Selection::all().aggregate_types(["notebook"])
            }

            fn tables(&self) -> Vec<Table> {
                vec![SUMS, KNOWN]
            }

            async fn apply(&self, event: &RecordedEvent, target: &mut Target<'_, $connection>) -> Result<(), BoxError> {
                self.applied.lock().unwrap().push(number(event));
                let amount = i64::try_from(number(event))? * self.factor;
                let add = target.sql(ADD);
                sqlx::query(add)
                    .bind(event.aggregate_id().to_string())
                    .bind(amount)
                    .execute(target.connection())
                    .await?;
                if let Some(gate) = &self.gate {
                    gate.acquire().await?.forget();
                }
                (self.judge)(number(event))
            }

            async fn effect(&self, event: &RecordedEvent) -> Result<(), BoxError> {
                self.effects.lock().unwrap().push(number(event));
                for _ in 0..if self.effects_pause { 100 } else { 0 } {
                    tokio::task::yield_now().await;
                }
                Ok(())
            }
        }
    };
}

projection_on!(SqliteConnection);
#[cfg(feature = "postgres")]
projection_on!(PgConnection);
