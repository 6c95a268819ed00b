//! Answers that have expired, as many as are wanted: as a service leaves them behind that nobody has swept.

use annals::{PostgresStore, SqliteStore};
use annals_contest::Place;
use anyhow::Result;
use sqlx::{Connection as _, PgConnection, SqliteConnection};

use crate::disk;

/// The database within its directory.
const FILE: &str = "sweep.db";

/// In the order in which they came and expired, a millisecond apart; their keys in none. ?1 how many.
const FILL_SQLITE: &str = "
    WITH RECURSIVE expired (number) AS (
        SELECT 1 UNION ALL SELECT number + 1 FROM expired WHERE number < ?1
    ), clock AS MATERIALIZED (
        SELECT CAST(unixepoch('subsec') * 1000000 AS INTEGER) AS now
    )
    INSERT INTO annals_responses (
        scope, idempotency_key, fingerprint, recipe, state, fence, run_id, attempts, created_at, completed_at, expires_at,
        status, headers, body_kind, body
    )
    SELECT 'account-' || number % 1000, lower(hex(randomblob(16))), randomblob(32), 1, 'completed', number, randomblob(16), 1,
           now - 86460000000 - (?1 - number) * 1000, now - 86460000000 - (?1 - number) * 1000,
           now - 60000000 - (?1 - number) * 1000, 201, '[[\"content-type\",\"application/json\"]]', 'whole', randomblob(160)
    FROM expired, clock";

/// The same. $1 how many.
const FILL_POSTGRES: &str = "
    INSERT INTO annals_responses (
        scope, idempotency_key, fingerprint, recipe, state, fence, run_id, attempts, created_at, completed_at, expires_at,
        status, headers, body_kind, body
    )
    SELECT 'account-' || number % 1000, gen_random_uuid()::text, sha256(number::text::bytea), 1, 'completed', number,
           gen_random_uuid(), 1, now() - interval '1 day 1 minute' - ($1 - number) * interval '1 millisecond',
           now() - interval '1 day 1 minute' - ($1 - number) * interval '1 millisecond',
           now() - interval '1 minute' - ($1 - number) * interval '1 millisecond',
           201, '[[\"content-type\",\"application/json\"]]', 'whole', decode(repeat(md5(number::text), 10), 'hex')
    FROM generate_series(1, $1) AS number";

/// A store with what has expired.
#[derive(Debug, Clone)]
pub(super) enum Store {
    Sqlite(SqliteStore),
    Postgres(PostgresStore),
}

impl Store {
    /// Makes a store in which so many answers have expired.
    pub(super) async fn filled(place: &Place, expired: u64) -> Result<Self> {
        let count = i64::try_from(expired)?;
        Ok(match place {
            Place::Directory(directory) => {
                let file = directory.join(FILE);
                let store = SqliteStore::open(&file).await?;
                let mut connection = SqliteConnection::connect(&format!("sqlite:{}", file.display())).await?;
                sqlx::query(FILL_SQLITE).bind(count).execute(&mut connection).await?;
                sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut connection).await?;
                connection.close().await?;
                Self::Sqlite(store)
            }
            Place::Url(url) => {
                let store = PostgresStore::connect(url).await?;
                let mut connection = PgConnection::connect(url).await?;
                sqlx::query(FILL_POSTGRES).bind(count).execute(&mut connection).await?;
                disk::tidy_up(place).await?;
                sqlx::query("CHECKPOINT").execute(&mut connection).await?;
                connection.close().await?;
                Self::Postgres(store)
            }
        })
    }

    pub(super) async fn close(&self) {
        match self {
            Self::Sqlite(store) => store.close().await,
            Self::Postgres(store) => store.close().await,
        }
    }
}
