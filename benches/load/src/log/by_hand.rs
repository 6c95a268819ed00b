//! The loop one would write by hand: one SELECT in the order of positions, row by row.

use std::hint::black_box;

use annals_contest::{OrderEvent, Place};
use anyhow::Result;
use futures_util::TryStreamExt as _;
use sqlx::{Connection as _, PgConnection, Row as _, SqlitePool, postgres::PgRow, sqlite::SqliteRow};
use uuid::Uuid;

use super::order_log::{FILE, Fold, Lot};
use crate::contender::sqlite_pool;

macro_rules! select {
    ($columns:literal, $condition:literal) => {
        concat!(
            "SELECT position, aggregate_id, event_type, ",
            $columns,
            " FROM annals_events",
            $condition,
            " ORDER BY position"
        )
    };
}

/// The statements for one database: with the columns that are needed or with all, of the whole log or of one kind.
struct Statements {
    whole: [&'static str; 2],
    lot: [&'static str; 2],
}

const ON_SQLITE: Statements = Statements {
    whole: [
        select!("payload", ""),
        select!("payload, sequence, command_id, checksum, recorded_at, schema_version, aggregate_type, metadata", ""),
    ],
    lot: [
        select!("payload", " WHERE aggregate_type = ?"),
        select!(
            "payload, sequence, command_id, checksum, recorded_at, schema_version, aggregate_type, metadata",
            " WHERE aggregate_type = ?"
        ),
    ],
};

/// Times as the driver's own type would want another of its features: as their microseconds, which costs the same.
const ON_POSTGRES: Statements = Statements {
    whole: [
        select!("payload::text", ""),
        select!(
            "payload::text, sequence, command_id, checksum, recorded_at, schema_version, aggregate_type, metadata::text",
            ""
        ),
    ],
    lot: [
        select!("payload::text", " WHERE aggregate_type = $1"),
        select!(
            "payload::text, sequence, command_id, checksum, recorded_at, schema_version, aggregate_type, metadata::text",
            " WHERE aggregate_type = $1"
        ),
    ],
};

/// What is handed on beside what the fold needs.
struct Rest<'r> {
    _sequence: i64,
    _command_id: Uuid,
    _checksum: i64,
    _recorded_at: i64,
    _schema_version: i64,
    _aggregate_type: &'r str,
    _metadata: &'r str,
}

enum Connection {
    Sqlite(SqlitePool),
    Postgres(Box<PgConnection>),
}

pub(super) struct ByHand {
    connection: Connection,
    has_all: bool,
}

/// The same lines for both databases: what differs are types and the statement.
macro_rules! fold {
    ($connection:expr, $lot:expr, $has_all:expr, $statements:expr, $time:expr, $int4:ty) => {{
        let has_all = $has_all;
        let query = match $lot {
            Some(lot) => sqlx::query($statements.lot[usize::from(has_all)]).bind(lot.aggregate_type()),
            None => sqlx::query($statements.whole[usize::from(has_all)]),
        };
        let (mut rows, mut fold) = (query.fetch($connection), Fold::default());
        while let Some(row) = rows.try_next().await? {
            let position: i64 = row.try_get(0)?;
            if has_all {
                black_box(Rest {
                    _sequence: row.try_get(4)?,
                    _command_id: row.try_get(5)?,
                    _checksum: row.try_get(6)?,
                    _recorded_at: $time(&row)?,
                    _schema_version: row.try_get::<$int4, _>(8)?.into(),
                    _aggregate_type: row.try_get(9)?,
                    _metadata: row.try_get(10)?,
                });
            }
            let event = OrderEvent::decode(row.try_get(2)?, row.try_get(3)?)?;
            fold.step(position.unsigned_abs(), row.try_get(1)?, &event);
        }
        Ok(fold)
    }};
}

impl ByHand {
    pub(super) async fn open(place: &Place, has_all: bool) -> Result<Self> {
        let connection = match place {
            Place::Directory(directory) => Connection::Sqlite(sqlite_pool(&directory.join(FILE), 1).await?),
            Place::Url(url) => Connection::Postgres(Box::new(PgConnection::connect(url).await?)),
        };
        Ok(Self { connection, has_all })
    }

    pub(super) async fn fold(&mut self, lot: Option<Lot>) -> Result<Fold> {
        let has_all = self.has_all;
        match &mut self.connection {
            Connection::Sqlite(pool) => {
                let mut connection = pool.acquire().await?;
                fold!(&mut *connection, lot, has_all, ON_SQLITE, sqlite_time, i64)
            }
            Connection::Postgres(connection) => {
                fold!(&mut **connection, lot, has_all, ON_POSTGRES, postgres_time, i32)
            }
        }
    }
}

fn sqlite_time(row: &SqliteRow) -> Result<i64> {
    Ok(row.try_get(7)?)
}

fn postgres_time(row: &PgRow) -> Result<i64> {
    // As the bytes on the wire, whatever the type.
    Ok(row.try_get_unchecked(7)?)
}
