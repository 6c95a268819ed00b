//! The same rows, as one would insert them by hand: nothing is read, checked or compared.

use std::time::Instant;

use annals::RecordedEvent;
use annals_contest::Place;
use anyhow::Result;
use sqlx::{
    AssertSqlSafe, Connection as _, PgConnection, SqlSafeStr as _, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};

use super::FILE;

/// Rows of one statement and commit.
const ROWS: usize = 1_000;

const INSERT_SQLITE: &str = "
    INSERT INTO annals_events (position, aggregate_id, sequence, aggregate_type, event_type, schema_version, command_id,
                               payload, metadata, checksum, recorded_at)
    VALUES ";

const INSERT_POSTGRES: &str = "
    INSERT INTO annals_events (aggregate_id, sequence, position, command_id, checksum, recorded_at, schema_version,
                               aggregate_type, event_type, payload, metadata)
    SELECT aggregate_id, sequence, nextval('annals_positions'), command_id, checksum,
           timestamptz 'epoch' + recorded_at * interval '1 microsecond', schema_version, aggregate_type, event_type,
           payload::json, metadata::json
    FROM unnest($1::uuid[], $2::bigint[], $3::uuid[], $4::bigint[], $5::bigint[], $6::int[], $7::text[], $8::text[],
                $9::text[], $10::text[])
            AS input (aggregate_id, sequence, command_id, checksum, recorded_at, schema_version, aggregate_type, event_type,
                      payload, metadata)";

/// Inserts the rows, and gives how many in a second.
#[expect(clippy::cast_precision_loss, reason = "figures for people")]
pub(super) async fn insert(place: &Place, rows: &[RecordedEvent]) -> Result<f64> {
    let seconds = match place {
        Place::Directory(directory) => {
            let options = SqliteConnectOptions::new()
                .filename(directory.join(FILE))
                .journal_mode(SqliteJournalMode::Wal)
                .synchronous(SqliteSynchronous::Full);
            let mut connection = SqliteConnection::connect_with(&options).await?;
            let began = Instant::now();
            into_sqlite(&mut connection, rows).await?;
            let seconds = began.elapsed().as_secs_f64();
            connection.close().await?;
            seconds
        }
        Place::Url(url) => {
            let mut connection = PgConnection::connect(url).await?;
            let began = Instant::now();
            for chunk in rows.chunks(ROWS) {
                into_postgres(&mut connection, chunk).await?;
            }
            let seconds = began.elapsed().as_secs_f64();
            connection.close().await?;
            seconds
        }
    };
    Ok(rows.len() as f64 / seconds)
}

async fn into_sqlite(connection: &mut SqliteConnection, rows: &[RecordedEvent]) -> Result<()> {
    let statement = |rows: usize| {
        // Safe: made of constants, no input in it.
        let values = vec!["(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"; rows].join(", ");
        AssertSqlSafe(format!("{INSERT_SQLITE}{values}")).into_sql_str()
    };
    let (whole, mut position) = (statement(ROWS), 0);
    for chunk in rows.chunks(ROWS) {
        let sql = if chunk.len() == ROWS { whole.clone() } else { statement(chunk.len()) };
        let mut query = sqlx::query(sql);
        for event in chunk {
            position += 1;
            let row = event.as_ref();
            query = query
                .bind(position)
                .bind(row.aggregate_id)
                .bind(row.sequence.cast_signed())
                .bind(row.aggregate_type)
                .bind(row.event_type)
                .bind(row.schema_version)
                .bind(row.command_id)
                .bind(row.payload)
                .bind(row.metadata)
                .bind(row.checksum.cast_signed())
                .bind(row.recorded_at.timestamp_micros());
        }
        query.execute(&mut *connection).await?;
    }
    Ok(())
}

async fn into_postgres(connection: &mut PgConnection, chunk: &[RecordedEvent]) -> Result<()> {
    let schema_version = |event: &RecordedEvent| i32::try_from(event.schema_version());
    sqlx::query(INSERT_POSTGRES)
        .bind(chunk.iter().map(RecordedEvent::aggregate_id).collect::<Vec<_>>())
        .bind(chunk.iter().map(|event| event.sequence().cast_signed()).collect::<Vec<_>>())
        .bind(chunk.iter().map(RecordedEvent::command_id).collect::<Vec<_>>())
        .bind(chunk.iter().map(|event| event.checksum().cast_signed()).collect::<Vec<_>>())
        .bind(chunk.iter().map(|event| event.recorded_at().timestamp_micros()).collect::<Vec<_>>())
        .bind(chunk.iter().map(schema_version).collect::<Result<Vec<_>, _>>()?)
        .bind(chunk.iter().map(RecordedEvent::aggregate_type).collect::<Vec<_>>())
        .bind(chunk.iter().map(RecordedEvent::event_type).collect::<Vec<_>>())
        .bind(chunk.iter().map(RecordedEvent::payload).collect::<Vec<_>>())
        .bind(chunk.iter().map(|event| event.as_ref().metadata).collect::<Vec<_>>())
        .execute(connection)
        .await?;
    Ok(())
}
