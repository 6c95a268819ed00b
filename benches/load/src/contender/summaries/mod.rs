//! The table with a row for each order, as it is rebuilt from a log: by annals and by hand.
//!
//! Both change a row for each event, with the same statements. By hand there is another way as well: what a page changes
//! is summed up for each of its orders, and written at once.

mod by_hand_on_postgres;
mod by_hand_on_sqlite;
mod projection;
mod summed_up;

use annals_contest::{OrderEvent, Summary};
use sqlx::{Database, Encode, SqlStr, Type, query::Query};
use uuid::Uuid;

pub(super) use self::{
    by_hand_on_postgres::rebuild as rebuild_on_postgres, by_hand_on_sqlite::rebuild as rebuild_on_sqlite,
    projection::Summaries, summed_up::SummedUp,
};

/// How many events share a transaction: as many as in annals.
const BATCH_EVENTS: i64 = 500;

/// How a loop by hand brings the events of a page into the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// A statement for each event.
    Each,
    /// An upsert for each order of the page.
    SummedUp,
}

/// The statements that change a row, of one table. SQLite and PostgreSQL read the same.
struct Statements {
    place: &'static str,
    add_line: &'static str,
    set_status: &'static str,
}

macro_rules! statements {
    ($table:literal) => {
        Statements {
            place: concat!(
                "INSERT INTO ",
                $table,
                " (order_id, status, customer, lines, total_cents) VALUES ($1, 'placed', $2, 0, 0)"
            ),
            add_line: concat!(
                "UPDATE ",
                $table,
                " SET lines = lines + 1, total_cents = total_cents + $2 WHERE order_id = $1"
            ),
            set_status: concat!("UPDATE ", $table, " SET status = $2 WHERE order_id = $1"),
        }
    };
}

/// Of a projection's table, by the name of whichever build it is.
const OF_A_BUILD: Statements = statements!("{order_summaries}");

/// Of the table that takes the place of the one that is there, when it is complete.
const OF_THE_NEXT: Statements = statements!("next_order_summaries");

/// Reads what was made. annals shows a view of that name, and by hand the table has it.
pub(super) const SELECT_SUMMARIES: &str = "SELECT order_id, status, customer, lines, total_cents FROM order_summaries";

impl Statements {
    const fn of(&self, event: &OrderEvent) -> &'static str {
        match event {
            OrderEvent::Placed(_) => self.place,
            OrderEvent::LineAdded(_) => self.add_line,
            OrderEvent::Paid(_) | OrderEvent::Shipped(_) => self.set_status,
        }
    }
}

/// What an event changes: its statement, and what is bound to it.
fn change<'q, DB: Database>(sql: SqlStr, order: Uuid, event: &'q OrderEvent) -> Query<'q, DB, DB::Arguments>
where
    Uuid: Encode<'q, DB> + Type<DB>,
    i64: Encode<'q, DB> + Type<DB>,
    &'q str: Encode<'q, DB> + Type<DB>,
{
    let query = sqlx::query(sql).bind(order);
    match event {
        OrderEvent::Placed(placed) => query.bind(placed.customer.as_str()),
        OrderEvent::LineAdded(line) => query.bind(line.total_cents()),
        OrderEvent::Paid(_) | OrderEvent::Shipped(_) => query.bind(event.kind()),
    }
}

/// An event of a page: its place in the log, its order, and itself.
type Entry = (i64, Uuid, OrderEvent);

/// What a page changes in the rows of its orders, in the order in which these come.
fn summed_up(page: &[Entry]) -> Vec<(Uuid, Summary)> {
    let mut rows: Vec<(Uuid, Summary)> = Vec::new();
    let mut places = std::collections::HashMap::new();
    for (_, order, event) in page {
        let at = *places.entry(*order).or_insert_with(|| {
            rows.push((*order, Summary::default()));
            rows.len() - 1
        });
        rows[at].1.add(event);
    }
    rows
}
