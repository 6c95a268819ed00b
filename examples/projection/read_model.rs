//! The read model, as those see it who read it: through connections of their own, which know nothing of events.

use std::{cmp::Reverse, collections::BTreeMap, iter::Sum, ops::AddAssign, str::FromStr as _};

use serde::Serialize;
#[cfg(feature = "postgres")]
use sqlx::PgPool;
use sqlx::{SqlitePool, sqlite::SqliteConnectOptions};

use crate::{money::Money, sales::amount_of};

/// Reads the view `sales`.
#[derive(Debug, Clone)]
pub enum ReadModel {
    Sqlite(SqlitePool),
    #[cfg(feature = "postgres")]
    Postgres(PgPool),
}

/// A row of the view: country, day, kind, orders, lines, and millionths.
pub type Row = (String, String, String, i64, i64, i64);

/// The rows are as many as countries times days: few enough to be read at once, however many orders there were.
const READ_SALES: &str = "SELECT country, day, kind, orders, lines, amount FROM sales";

/// What orders come to: those of one country, of one day, or all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Sales {
    pub orders: i64,
    /// Sales alone.
    pub gross: Money,
    pub credits: Money,
    pub adjusted: Money,
    /// All three.
    pub net: Money,
}

impl ReadModel {
    /// Connects to the database of a URL.
    pub async fn connect(url: &str) -> Result<Self, sqlx::Error> {
        #[cfg(feature = "postgres")]
        if url.starts_with("postgres") {
            return Ok(Self::Postgres(PgPool::connect(url).await?));
        }
        Ok(Self::Sqlite(SqlitePool::connect_with(SqliteConnectOptions::from_str(url)?).await?))
    }

    /// All rows of the view, by country, day and kind. There is a view once the projection has run.
    pub async fn rows(&self) -> Result<Vec<Row>, sqlx::Error> {
        let mut rows: Vec<Row> = match self {
            Self::Sqlite(pool) => sqlx::query_as(READ_SALES).fetch_all(pool).await?,
            #[cfg(feature = "postgres")]
            Self::Postgres(pool) => sqlx::query_as(READ_SALES).fetch_all(pool).await?,
        };
        // Not by the database: servers order texts by their locale.
        rows.sort();
        Ok(rows)
    }
}

/// Sums up rows by country, those first to which most was sold.
pub fn by_country(rows: &[Row]) -> Vec<(String, Sales)> {
    let mut countries = sums_by(rows, |(country, ..)| country);
    countries.sort_by_key(|(_, sales)| Reverse(sales.gross));
    countries
}

/// Sums up rows by day, in the order of days.
pub fn by_day(rows: &[Row]) -> Vec<(String, Sales)> {
    sums_by(rows, |(_, day, ..)| day)
}

fn sums_by(rows: &[Row], column: impl Fn(&Row) -> &String) -> Vec<(String, Sales)> {
    let mut sums = BTreeMap::<&String, Sales>::new();
    for row in rows {
        *sums.entry(column(row)).or_default() += Sales::from(row);
    }
    sums.into_iter().map(|(of, sales)| (of.clone(), sales)).collect()
}

impl From<&Row> for Sales {
    fn from((_, _, kind, orders, _, millionths): &Row) -> Self {
        let amount = Money(amount_of(*millionths));
        let sales = Self { orders: *orders, net: amount, ..Self::default() };
        match kind.as_str() {
            "sale" => Self { gross: amount, ..sales },
            "credit-note" => Self { credits: amount, ..sales },
            _ => Self { adjusted: amount, ..sales },
        }
    }
}

impl AddAssign for Sales {
    fn add_assign(&mut self, more: Self) {
        self.orders += more.orders;
        self.gross.0 += more.gross.0;
        self.credits.0 += more.credits.0;
        self.adjusted.0 += more.adjusted.0;
        self.net.0 += more.net.0;
    }
}

impl Sum for Sales {
    fn sum<I: Iterator<Item = Self>>(parts: I) -> Self {
        let mut sum = Self::default();
        parts.for_each(|part| sum += part);
        sum
    }
}
