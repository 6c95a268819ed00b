//! The order of the log on PostgreSQL: what the horizon promises, and what happens without it.

mod adversity;
mod cases;
mod following;
mod interleavings;
mod judge;
mod notices;
mod order;
#[cfg(all(feature = "tracing", feature = "metrics"))]
mod stall;
mod standby;

use annals::{Append, EventRef, EventStore, LogQuery, NewEvent, Position, PostgresStore};
use sqlx::PgConnection;
use uuid::Uuid;

/// Two kinds of aggregates, and two types of events, to choose from.
const KINDS: [&str; 2] = ["left", "right"];
const TYPES: [&str; 2] = ["odd", "even"];

/// An append of this many events to an aggregate, of alternating types.
fn append_to(aggregate_id: Uuid, events: usize) -> Append {
    // The kind follows from the id, so that an aggregate keeps its own.
    let kind = KINDS[usize::from(aggregate_id.as_bytes()[15] & 1)];
    let types = TYPES.into_iter().cycle().take(events);
    Append::new(kind, aggregate_id).events(types.map(|name| NewEvent::new(name, &()).unwrap()))
}

/// An append of this many events to a new aggregate.
fn append(events: usize) -> Append {
    append_to(Uuid::now_v7(), events)
}

/// Reads one page: the positions of its events, and the cursor after it.
async fn page(store: &dyn EventStore, query: &LogQuery) -> (Vec<u64>, Position) {
    let mut positions = Vec::new();
    let mut visit = |event: EventRef<'_>| {
        positions.push(event.position.get());
        Ok(())
    };
    let read = store.read_log(query, &mut visit).await.unwrap();
    (positions, read.position)
}

/// All positions that a reader sees.
async fn seen(store: &dyn EventStore) -> Vec<u64> {
    page(store, &LogQuery::all()).await.0
}

/// The server's process behind a connection.
async fn pid(connection: &mut PgConnection) -> i32 {
    sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(connection).await.unwrap()
}

/// Passes some time at the server. Not to wait for anything, but to let it go by.
async fn pause(connection: &mut PgConnection, seconds: f64) {
    sqlx::query("SELECT pg_sleep($1)").bind(seconds).execute(connection).await.unwrap();
}

/// Reads until there is something to read, and passes a little time in between.
async fn first_seen(store: &PostgresStore, query: &LogQuery, connection: &mut PgConnection) -> Vec<u64> {
    let look = async {
        loop {
            let (positions, _) = page(store, query).await;
            if !positions.is_empty() {
                return positions;
            }
            pause(&mut *connection, 0.001).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), look).await.expect("something to read")
}
