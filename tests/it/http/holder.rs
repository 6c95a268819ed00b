//! Whoever holds the table of answers, so that nobody else gets at it.

use sqlx::{Connection as _, Row as _};

/// Holds the answers until it is told to let go.
pub enum Holder {
    Sqlite(sqlx::SqliteConnection),
    #[cfg(feature = "postgres")]
    Postgres(sqlx::PgConnection),
}

/// Takes the answers of a database: on SQLite the one write lock, on PostgreSQL the table.
pub async fn hold_responses(url: &str) -> Holder {
    #[cfg(feature = "postgres")]
    if url.starts_with("postgres") {
        let mut connection = sqlx::PgConnection::connect(url).await.unwrap();
        sqlx::query("BEGIN").execute(&mut connection).await.unwrap();
        sqlx::query("LOCK TABLE annals_responses IN ACCESS EXCLUSIVE MODE").execute(&mut connection).await.unwrap();
        return Holder::Postgres(connection);
    }
    let mut connection = sqlx::SqliteConnection::connect(url).await.unwrap();
    sqlx::query("BEGIN IMMEDIATE").execute(&mut connection).await.unwrap();
    let row = sqlx::query("SELECT count(*) FROM annals_responses").fetch_one(&mut connection).await.unwrap();
    let _: i64 = row.get(0);
    Holder::Sqlite(connection)
}

impl Holder {
    pub async fn let_go(self) {
        match self {
            Self::Sqlite(mut connection) => {
                sqlx::query("ROLLBACK").execute(&mut connection).await.unwrap();
            }
            #[cfg(feature = "postgres")]
            Self::Postgres(mut connection) => {
                sqlx::query("ROLLBACK").execute(&mut connection).await.unwrap();
            }
        }
    }
}
