//! A log of many orders, filled by annals itself.

use std::ops::Range;

use annals::{Append, ExpectedVersion, NewEvent, Upcasters};
use annals_contest::{OrderEvent, Place, order_id};
use anyhow::Result;

use super::order_log::{Lot, Store};
use crate::disk;

/// How many orders live side by side: their appends stand between one another's.
const ORDERS_AT_ONCE: u64 = 512;

/// An order is placed with four lines at once, and gets another; then it is paid, and then shipped.
pub(crate) const EVENTS_PER_ORDER: u64 = 8;

/// Where an order's appends begin in its history.
const APPENDS: [Range<usize>; 4] = [0..5, 5..6, 6..7, 7..8];

/// Writes the orders with these numbers, in two halves at once.
pub(crate) async fn fill(place: &Place, orders: Range<u64>) -> Result<()> {
    let store = Store::open(place).await?;
    let middle = orders.start.midpoint(orders.end);
    tokio::try_join!(fill_one_by_one(&store, orders.start..middle), fill_one_by_one(&store, middle..orders.end))?;
    store.close().await;
    // So that a statement by hand is planned as well as it can be, and neither reader has to tidy up after the writer.
    disk::tidy_up(place).await
}

async fn fill_one_by_one(store: &Store, orders: Range<u64>) -> Result<()> {
    let mut from = orders.start;
    while from < orders.end {
        let to = orders.end.min(from + ORDERS_AT_ONCE);
        let histories: Vec<_> = (from..to).map(|number| (number, OrderEvent::life(number))).collect();
        for range in APPENDS {
            let batch: Result<Vec<_>> =
                histories.iter().map(|(number, history)| append(*number, history, range.clone())).collect();
            for answer in store.events().append(batch?).await {
                answer?;
            }
        }
        from = to;
    }
    Ok(())
}

fn append(number: u64, history: &[OrderEvent], range: Range<usize>) -> Result<Append> {
    let expected = ExpectedVersion::Exact(u64::try_from(range.start)?);
    let encoded: Result<Vec<_>, _> =
        history[range].iter().map(|event| NewEvent::encode(event, &Upcasters::none())).collect();
    Ok(Append::new(Lot::of(number).aggregate_type(), order_id(number)).expected(expected).events(encoded?))
}
