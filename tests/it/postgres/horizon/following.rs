//! Readers that follow the log while it is written: those of the store, and those that are known to be wrong.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use annals::{Error, EventRef, EventStore as _, LogQuery, Position, PostgresOptions, PostgresStore, Selection};
use fastrand::Rng;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _};

use super::{adversity::Load, pause};

/// How long a reader that has found nothing lets the server wait, in seconds.
const BREATH: f64 = 0.002;

/// What a reader has done.
#[derive(Debug, Default)]
pub struct Followed {
    pub positions: Vec<u64>,
    pub pages: usize,
    pub restarts: usize,
}

/// Follows the log through a store. Now and then it fails in the middle of a page, and now and then it begins anew with
/// another store, from where it was.
pub async fn follow(
    load: Arc<Load>,
    url: String,
    options: PostgresOptions,
    (selection, limit): (Selection, Option<u64>),
    mut random: Rng,
) -> Followed {
    let mut followed = Followed::default();
    let mut breath = PgConnection::connect(&url).await.unwrap();
    let mut store = options.clone().connect(&url).await.unwrap();
    let mut cursor = Position::START;
    loop {
        let is_over = load.is_over.load(Ordering::SeqCst);
        let query = LogQuery { after: cursor, selection: selection.clone(), limit, ..LogQuery::all() };
        let fails_after = if random.u8(..) < 8 { random.usize(0..40) } else { usize::MAX };
        let before = followed.positions.len();
        let mut visit = |event: EventRef<'_>| {
            if followed.positions.len() - before >= fails_after {
                return Err(Error::invalid("on purpose"));
            }
            followed.positions.push(event.position.get());
            Ok(())
        };
        let next = match store.read_log(&query, &mut visit).await {
            Ok(read) => read.position,
            Err(Error::Invalid { .. }) => {
                followed.positions[before..].last().map_or(cursor, |last| Position::new(*last))
            }
            Err(error) => panic!("{error:?}"),
        };
        assert!(next >= cursor, "a cursor never goes back");
        followed.pages += 1;
        let (stood, failed) = (next == cursor, fails_after != usize::MAX);
        cursor = next;
        if random.u8(..) < 4 {
            store.close().await;
            store = options.clone().connect(&url).await.unwrap();
            followed.restarts += 1;
        } else if stood && !failed {
            if is_over {
                store.close().await;
                return followed;
            }
            if random.bool() {
                pause(&mut breath, BREATH).await;
            } else {
                // Nothing need come: whoever waits is told, or the load is over.
                drop(tokio::time::timeout(Duration::from_millis(50), store.wait_for(cursor)).await);
            }
        }
    }
}

/// How readers go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrong {
    /// Takes the order of positions for that of commits.
    Naive,
    /// Asks for the least bound first, and for the last position then.
    OtherWayRound,
    /// Reads rows first, and then leaves out what is above the horizon.
    RowsInHand,
}

/// Follows the log in a wrong way.
pub async fn follow_wrongly(load: Arc<Load>, url: String, wrong: Wrong) -> Followed {
    let mut followed = Followed::default();
    let mut connection = PgConnection::connect(&url).await.unwrap();
    let mut cursor = 0;
    loop {
        let is_over = load.is_over.load(Ordering::SeqCst);
        let page = match wrong {
            Wrong::Naive => rows(&mut connection, cursor, i64::MAX).await,
            Wrong::OtherWayRound => {
                // Far below 31 bits any number serves to tell the bounds by.
                let bound = horizon(&mut connection, i64::from(i32::MAX)).await;
                let horizon = last_position(&mut connection).await.min(bound);
                rows(&mut connection, cursor, horizon).await
            }
            Wrong::RowsInHand => {
                let mut rows = rows(&mut connection, cursor, i64::MAX).await;
                let last = last_position(&mut connection).await;
                let horizon = horizon(&mut connection, last).await;
                rows.retain(|position| *position <= horizon);
                rows
            }
        };
        followed.pages += 1;
        if let Some(last) = page.last() {
            cursor = *last;
        } else if is_over {
            return followed;
        } else {
            pause(&mut connection, BREATH).await;
        }
        followed.positions.extend(page.into_iter().map(i64::unsigned_abs));
    }
}

/// A statement of the store, by its file's name.
pub fn statement(name: &str) -> &'static str {
    let statements = annals::postgres::statements();
    statements.into_iter().find(|(known, _)| *known == name).expect("a statement of the store").1
}

/// The first page of rows after a position, up to another.
pub async fn rows(connection: &mut PgConnection, after: i64, up_to: i64) -> Vec<i64> {
    // Safe: a constant around the text of a file of the crate.
    let sql = AssertSqlSafe(format!("SELECT position FROM ({}) AS page", statement("read_log")));
    let query = sqlx::query(sql).bind(after).bind(up_to).bind(500_i64);
    query.fetch_all(connection).await.unwrap().iter().map(|row| row.get(0)).collect()
}

pub async fn last_position(connection: &mut PgConnection) -> i64 {
    sqlx::query(statement("read_last_position")).fetch_one(connection).await.unwrap().get(0)
}

pub async fn horizon(connection: &mut PgConnection, last_position: i64) -> i64 {
    sqlx::query(statement("read_horizon")).bind(last_position).fetch_one(connection).await.unwrap().get(0)
}

/// Watches the horizon: the longest time it stood still while others' commits went on.
pub async fn watch_the_horizon(load: Arc<Load>, url: String) -> Duration {
    let store = PostgresStore::connect(&url).await.unwrap();
    let mut breath = PgConnection::connect(&url).await.unwrap();
    let mut longest = Duration::ZERO;
    let mut stands = (Position::START, Instant::now(), 0);
    while !load.is_over.load(Ordering::SeqCst) {
        let position = store.horizon().await.unwrap().position;
        let committed = load.committed.load(Ordering::SeqCst);
        assert!(position >= stands.0, "the horizon never goes back");
        if position > stands.0 {
            stands = (position, Instant::now(), committed);
        } else if committed > stands.2 {
            longest = longest.max(stands.1.elapsed());
        }
        pause(&mut breath, BREATH).await;
    }
    store.close().await;
    longest
}
