//! Fills a database with events, so that one can see how a large one is looked at.
//!
//! ```text
//! cargo run --release --features postgres --example fill -- sqlite:large.db 1000000
//! ```
//!
//! Orders of twenty events each, placed by two requests under keys; about 100 bytes of payload. The database is made
//! where there is none, and what is there stays: called again it adds nothing.

use std::{env, error::Error, time::Instant};

#[cfg(feature = "postgres")]
use annals::PostgresStore;
use annals::{Append, EventStore, ExpectedVersion, IdempotencyKey, Metadata, NewEvent, SqliteStore, Synchronous};
use serde_json::json;
use uuid::Uuid;

const EVENTS_OF_AN_APPEND: u64 = 10;
/// Appends that are sent at once: they share commits.
const APPENDS_AT_ONCE: usize = 500;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [url, events] = &arguments[..] else {
        return Err("usage: fill URL EVENTS".into());
    };
    let events: u64 = events.parse()?;
    let began = Instant::now();
    if url.starts_with("sqlite:") {
        // What is lost in a power failure is made again.
        let store = SqliteStore::options().synchronous(Synchronous::Normal).connect(url).await?;
        fill(&store, events).await?;
        store.close().await;
    } else {
        #[cfg(feature = "postgres")]
        fill(&PostgresStore::connect(url).await?, events).await?;
        #[cfg(not(feature = "postgres"))]
        return Err("this was built without the feature `postgres`".into());
    }
    println!("{events} events in {:.1} s; order {} is one", began.elapsed().as_secs_f64(), id_of(0));
    Ok(())
}

fn id_of(order: u64) -> Uuid {
    Uuid::new_v5(&Uuid::NAMESPACE_OID, &order.to_le_bytes())
}

async fn fill(store: &impl EventStore, events: u64) -> Result<(), Box<dyn Error>> {
    let mut batch = Vec::with_capacity(APPENDS_AT_ONCE);
    // Both requests of an order are in one batch, in their order.
    for append in 0..events.div_ceil(EVENTS_OF_AN_APPEND) {
        let (order, request) = (append / 2, append % 2);
        let id = id_of(order);
        let count = EVENTS_OF_AN_APPEND.min(events - append * EVENTS_OF_AN_APPEND);
        let lines = (0..count).map(|line| {
            let event_type = if request == 0 && line == 0 { "placed" } else { "line-added" };
            let payload = json!({
                "sku": format!("sku-{}", (order + line) % 5_000), "quantity": line + 1, "price_cents": 1_999,
                "note": "as was agreed on the telephone",
            });
            NewEvent::new(event_type, &payload)
        });
        let lines = lines.collect::<Result<Vec<_>, _>>()?;
        let key = IdempotencyKey::new(format!("order-{order}-{request}"))?;
        batch.push(
            Append::new("order", id)
                .expected(ExpectedVersion::Exact(request * EVENTS_OF_AN_APPEND))
                .metadata(Metadata::new().correlation_id(format!("order-{order}")))
                .events(lines)
                .idempotency_key(key),
        );
        if batch.len() == APPENDS_AT_ONCE {
            write(store, std::mem::take(&mut batch)).await?;
        }
    }
    write(store, batch).await
}

async fn write(store: &impl EventStore, batch: Vec<Append>) -> Result<(), Box<dyn Error>> {
    for answer in store.append(batch).await {
        answer?;
    }
    Ok(())
}
