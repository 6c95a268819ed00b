//! The past, twice: one order at every version it had, and a read model made again from all events.
//!
//! ```sh
//! cargo run --example replay
//! ```
//!
//! Nothing is overwritten, so both questions have an answer: what an order looked like when somebody decided something
//! about it, and whether a read model is what the events lead to.
#![allow(missing_docs, unreachable_pub, reason = "a program is no library: nobody calls in from outside")]

#[allow(dead_code, reason = "other examples need more of it")]
#[path = "order/answer.rs"]
mod answer;
#[allow(dead_code, reason = "other examples need more of it")]
#[path = "order/domain.rs"]
mod domain;
#[path = "order/money.rs"]
mod money;
#[allow(dead_code, reason = "other examples need more of it")]
#[path = "projection/read_model.rs"]
mod read_model;
#[path = "projection/sales.rs"]
mod sales;
#[path = "projection/till.rs"]
mod till;

use std::{
    collections::{BTreeMap, HashMap},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use annals::{
    Aggregate as _, EventStore as _, Id, LogQuery, ManualClock, Projector, Repository, Selection, SqliteStore, Step,
};
use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};
use rust_decimal::Decimal;

use crate::{
    answer::{AnyError, Done},
    domain::{Header, Line, Order, OrderCommand, OrderEvent},
    money::{Money, grouped},
    read_model::{ReadModel, Row},
    sales::{SalesByDay, amount_of, millionths, word_of},
    till::sell,
};

#[tokio::main]
async fn main() -> ExitCode {
    answer::exit_code(replay().await)
}

async fn replay() -> Done {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("shop.db");
    let clock = Arc::new(ManualClock::new(opening_time().and_utc()));
    let shared_clock = Arc::<ManualClock>::clone(&clock);
    let store = SqliteStore::options().shared_clock(shared_clock).open(&file).await?;
    let orders = Repository::<Order>::new(&store);

    walk_through_an_order(&orders, &clock).await?;
    println!();
    take_many_orders(&orders).await?;
    compare_read_models(&store, &ReadModel::connect(&format!("sqlite:{}", file.display())).await?).await
}

/// Takes an order from its beginning to its end, and then looks at every version of it.
async fn walk_through_an_order(orders: &Repository<Order>, clock: &ManualClock) -> Done {
    let id = Id::natural("500001");
    let header = Header { invoice: "500001".to_owned(), customer: None, country: "Norway".to_owned() };
    let commands = [
        OrderCommand::Place(header),
        OrderCommand::AddLine(line("LANTERN", 6, 339)),
        OrderCommand::AddLine(line("MUG", 12, 125)),
        OrderCommand::AddLine(line("MUG", -2, 125)),
        OrderCommand::Pay { amount: Decimal::new(3_284, 2) },
        OrderCommand::Ship { carrier: "Posten".to_owned() },
    ];
    for command in &commands {
        orders.execute(id, command).await?;
        clock.advance(Duration::from_secs(45 * 60));
    }

    println!("Order 500001, event by event\n");
    println!("version  recorded  what happened            lines   total  status");
    // Each event, and the order as it was after it: folded once, however long the history is.
    let visit = |step: Step<'_, Order>| {
        let Order { lines, total, status, .. } = step.state;
        let (version, time, event) = (step.stored.sequence, hour(step.stored.recorded_at), happened(step.event));
        println!("{version:>7}  {time:<8}  {event:<23}{lines:>7}{total:>8.2}  {status}");
    };
    orders.replay(id, visit).await?;

    let third = orders.load_at(id, 3).await?;
    println!("\nAt version 3 it came to {:.2}.", third.state.total);
    let noon = NaiveDate::from_ymd_opt(2010, 12, 1).and_then(|day| day.and_hms_opt(12, 0, 0)).unwrap_or_default();
    let then = orders.load_until(id, noon.and_utc()).await?;
    println!("At noon it was at version {}, and {}.", then.version, then.state.status);
    let now = orders.load(id).await?;
    println!("Now it is at version {}, and {}.", now.version, now.state.status);
    Ok(())
}

/// Takes so many more orders that there is something to compare.
async fn take_many_orders(orders: &Repository<Order>) -> Done {
    for number in 0..200_u32 {
        let invoice = format!("{}{}", if number % 9 == 8 { "C" } else { "" }, 500_100 + number);
        let country = ["Norway", "France", "EIRE", "Germany"][number as usize % 4];
        let day = NaiveDate::from_ymd_opt(2010, 12, 1 + number / 20).unwrap_or_default();
        let price = Decimal::new(i64::from(number * 7 % 50) * 1_125 + 999, 3);
        sell(orders, &invoice, country, day.into(), if number % 9 == 8 { -price } else { price }).await?;
    }
    Ok(())
}

/// Compares three: the rows that were made as the orders came in, all events folded in memory, and the rows made anew.
async fn compare_read_models(store: &SqliteStore, readers: &ReadModel) -> Done {
    let projector = Projector::new(store, SalesByDay)?;
    projector.catch_up().await?;
    let kept = readers.rows().await?;
    let folded = fold(store).await?;
    projector.rebuild().await?;
    let rebuilt = readers.rows().await?;

    println!("The read model, row by row\n");
    println!("country  day         kind         orders      kept    folded   rebuilt");
    let kept = by_key(&kept);
    let (folded, rebuilt) = (by_key(&folded), by_key(&rebuilt));
    let mut keys: Vec<_> = kept.keys().chain(folded.keys()).chain(rebuilt.keys()).collect();
    keys.sort();
    keys.dedup();
    let mut differing = 0;
    for (at, key) in keys.iter().enumerate() {
        let rows = [&kept, &folded, &rebuilt].map(|rows| rows.get(*key));
        let is_same = rows.iter().all(|row| *row == rows[0]);
        differing += usize::from(!is_same);
        if at < ROWS_SHOWN || !is_same {
            let (country, day, kind) = key;
            let orders = rows[0].map_or(0, |(orders, ..)| *orders);
            let [kept, folded, rebuilt] = rows.map(amount);
            println!("{country:<9}{day:<12}{kind:<12}{orders:>7}{kept:>10}{folded:>10}{rebuilt:>10}");
        }
    }
    println!("… {} rows in all, of which {differing} differ", keys.len());
    if differing == 0 { Ok(()) } else { Err("the read model is not what the events lead to".into()) }
}

/// Rows that are shown although they do not differ.
const ROWS_SHOWN: usize = 8;

type Key<'r> = (&'r str, &'r str, &'r str);
type Sums = (i64, i64, i64);

fn by_key(rows: &[Row]) -> BTreeMap<Key<'_>, Sums> {
    let pairs = rows.iter().map(|(country, day, kind, orders, lines, amount)| {
        ((country.as_str(), day.as_str(), kind.as_str()), (*orders, *lines, *amount))
    });
    pairs.collect()
}

fn amount(row: Option<&Sums>) -> String {
    row.map_or_else(|| "-".to_owned(), |(_, _, amount)| grouped(&Money(amount_of(*amount)).to_string()))
}

/// What the projection does, done once more in memory: rows that no table has kept.
async fn fold(store: &SqliteStore) -> Result<Vec<Row>, AnyError> {
    let mut placed = HashMap::new();
    let mut sums = BTreeMap::<(String, String, String), Sums>::new();
    let all_orders = LogQuery::all().select(Selection::all().aggregate_types([Order::TYPE]));
    let upcasters = Order::upcasters();
    let mut visit = |event: annals::EventRef<'_>| {
        match event.decode(&upcasters)? {
            OrderEvent::OrderPlaced { country, kind, .. } => {
                placed.insert(event.aggregate_id, (country, word_of(kind), 0));
            }
            OrderEvent::LineAdded(line) => {
                let unplaced = || annals::Error::corrupt("a line before its order");
                let (country, kind, lines) = placed.get_mut(&event.aggregate_id).ok_or_else(unplaced)?;
                *lines += 1;
                let day = line.invoiced_at.date().to_string();
                let sum = sums.entry((country.clone(), day, (*kind).to_owned())).or_default();
                sum.0 += i64::from(*lines == 1);
                sum.1 += 1;
                sum.2 += millionths(line.amount()).map_err(|_| annals::Error::corrupt("a line beyond all bounds"))?;
            }
            OrderEvent::OrderPaid { .. } | OrderEvent::OrderShipped { .. } => {}
        }
        Ok(())
    };
    store.read_log(&all_orders, &mut visit).await?;
    let rows = sums
        .into_iter()
        .map(|((country, day, kind), (orders, lines, amount))| (country, day, kind, orders, lines, amount));
    Ok(rows.collect())
}

fn line(stock_code: &str, quantity: i64, pence: i64) -> Line {
    Line {
        stock_code: stock_code.to_owned(),
        description: None,
        quantity,
        unit_price: Decimal::new(pence, 2),
        invoiced_at: opening_time(),
    }
}

fn happened(event: &OrderEvent) -> String {
    match event {
        OrderEvent::OrderPlaced { country, .. } => format!("placed from {country}"),
        OrderEvent::LineAdded(Line { stock_code, quantity, unit_price, .. }) => {
            format!("{quantity} × {stock_code} at {unit_price}")
        }
        OrderEvent::OrderPaid { amount } => format!("{amount} paid"),
        OrderEvent::OrderShipped { carrier } => format!("shipped by {carrier}"),
    }
}

fn opening_time() -> NaiveDateTime {
    NaiveDate::from_ymd_opt(2010, 12, 1).and_then(|day| day.and_hms_opt(9, 0, 0)).unwrap_or_default()
}

fn hour(time: DateTime<Utc>) -> String {
    time.format("%H:%M").to_string()
}
