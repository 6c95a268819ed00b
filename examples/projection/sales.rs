//! The projection: what was sold, by country and day.
//!
//! Two tables. `sales` is the read model. `sales_orders` is what the projection itself has to remember: a line says what
//! was sold and when, but not to which country; that was said when its order was placed.
//!
//! Each event takes effect exactly once, though there is nothing here that looks for events that came twice: the rows are
//! written in the transaction in which the projection's checkpoint moves.

use annals::{Aggregate as _, BoxError, Projection, RecordedEvent, Selection, Table, Target};
use rust_decimal::Decimal;

use crate::domain::{Kind, MAX_DECIMALS, Order, OrderEvent};

/// Sums up orders by country, day and kind.
#[derive(Debug, Clone, Copy)]
pub struct SalesByDay;

/// The view that readers read, whichever build of the projection's tables it shows.
pub const SALES: &str = "sales";

/// What the projection remembers of each order. The view has this name, the build's table another: `{sales_orders}`.
const SALES_ORDERS: &str = "sales_orders";

/// Remembers an order until its lines come.
const PLACE_ORDER: &str = "INSERT INTO {sales_orders} (order_id, country, kind, lines) VALUES ($1, $2, $3, 0)";

/// Counts a line of an order, and says where the order belongs.
const FIND_ORDER: &str =
    "UPDATE {sales_orders} SET lines = lines + 1 WHERE order_id = $1 RETURNING country, kind, lines";

/// Adds a line to the sums of its day. An order counts on the day of its first line.
const ADD_LINE: &str = "\
    INSERT INTO {sales} AS sums (country, day, kind, orders, lines, amount) VALUES ($1, $2, $3, $4, 1, $5)
    ON CONFLICT (country, day, kind) DO UPDATE SET
        orders = sums.orders + excluded.orders, lines = sums.lines + 1, amount = sums.amount + excluded.amount";

/// Makes `SalesByDay` a projection of one of the two databases.
///
/// A service knows its database, and writes `impl Projection<SqliteConnection> for SalesByDay` where this begins. Here the
/// same code serves both: the statements are the same on both, and only the types of columns have other names.
macro_rules! projection_on {
    ($connection:ty, $tables:expr) => {
        impl Projection<$connection> for SalesByDay {
            fn name(&self) -> &str {
                SALES
            }

            /// Raised with every change to the tables, or to what is written into them: `rebuild` then makes them anew.
            fn version(&self) -> u32 {
                1
            }

            fn selection(&self) -> Selection {
                Selection::all().aggregate_types([Order::TYPE])
            }

            fn tables(&self) -> Vec<Table> {
                $tables.into()
            }

            async fn apply(&self, event: &RecordedEvent, target: &mut Target<'_, $connection>) -> Result<(), BoxError> {
                match event.decode_as::<Order>()? {
                    OrderEvent::OrderPlaced { kind, country, .. } => {
                        sqlx::query(target.sql(PLACE_ORDER))
                            .bind(event.aggregate_id())
                            .bind(country)
                            .bind(word_of(kind))
                            .execute(target.connection())
                            .await?;
                    }
                    OrderEvent::LineAdded(line) => {
                        let (country, kind, lines): (String, String, i64) = sqlx::query_as(target.sql(FIND_ORDER))
                            .bind(event.aggregate_id())
                            .fetch_one(target.connection())
                            .await?;
                        sqlx::query(target.sql(ADD_LINE))
                            .bind(country)
                            .bind(line.invoiced_at.date().to_string())
                            .bind(kind)
                            .bind(i64::from(lines == 1))
                            .bind(millionths(line.amount())?)
                            .execute(target.connection())
                            .await?;
                    }
                    OrderEvent::OrderPaid { .. } | OrderEvent::OrderShipped { .. } => {}
                }
                Ok(())
            }
        }
    };
}

// STRICT: a column takes nothing but its type. SQLite else turns a sum too large for an integer into a float.
projection_on!(
    sqlx::SqliteConnection,
    [
        Table::new(
            SALES,
            "CREATE TABLE {sales} (
            country TEXT NOT NULL, day TEXT NOT NULL, kind TEXT NOT NULL,
            orders INTEGER NOT NULL, lines INTEGER NOT NULL, amount INTEGER NOT NULL,
            PRIMARY KEY (country, day, kind)
        ) STRICT",
        ),
        Table::new(
            SALES_ORDERS,
            "CREATE TABLE {sales_orders} (
            order_id BLOB NOT NULL PRIMARY KEY, country TEXT NOT NULL, kind TEXT NOT NULL, lines INTEGER NOT NULL
        ) STRICT",
        ),
    ]
);

#[cfg(feature = "postgres")]
projection_on!(
    sqlx::PgConnection,
    [
        Table::new(
            SALES,
            "CREATE TABLE {sales} (
            country TEXT NOT NULL, day TEXT NOT NULL, kind TEXT NOT NULL,
            orders BIGINT NOT NULL, lines BIGINT NOT NULL, amount BIGINT NOT NULL,
            PRIMARY KEY (country, day, kind)
        )",
        ),
        Table::new(
            SALES_ORDERS,
            "CREATE TABLE {sales_orders} (
            order_id UUID NOT NULL PRIMARY KEY, country TEXT NOT NULL, kind TEXT NOT NULL, lines BIGINT NOT NULL
        )",
        ),
    ]
);

/// The word that stands in the tables.
pub const fn word_of(kind: Kind) -> &'static str {
    match kind {
        Kind::Sale => "sale",
        Kind::CreditNote => "credit-note",
        Kind::Adjustment => "adjustment",
    }
}

/// Turns an amount into what is stored: whole millionths.
///
/// A price has up to six decimals, so nothing is lost; integers are summed up exactly by both databases, where floats are
/// not and SQLite has no decimals; and no line is worth more than an integer holds.
pub fn millionths(mut amount: Decimal) -> Result<i64, BoxError> {
    amount.rescale(MAX_DECIMALS);
    Ok(i64::try_from(amount.mantissa())?)
}

/// Turns whole millionths into an amount.
pub fn amount_of(millionths: i64) -> Decimal {
    Decimal::new(millionths, MAX_DECIMALS)
}
