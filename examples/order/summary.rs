//! The summary: what this run did, and what the store holds now.
//!
//! The second part is not counted while importing. It is read back from the log, event by event, with a memory that
//! grows with the orders and not with their lines: the read side of this example.

use std::{cmp::Reverse, collections::HashMap, fmt, time::Duration};

use annals::{Aggregate as _, Error, EventStore, LogQuery, Selection};
use rust_decimal::Decimal;
use serde::{Serialize, Serializer};
use uuid::Uuid;

use crate::{
    domain::{Kind, Order, OrderEvent},
    import::Counts,
    money::{Money, grouped},
};

/// How many countries are listed.
const TOP_COUNTRIES: usize = 5;

/// What is printed at the end.
#[derive(Debug, Serialize)]
pub struct Summary {
    #[serde(flatten)]
    pub run: Counts,
    #[serde(flatten)]
    pub sales: Sales,
    /// Of the import alone, without the reading back.
    #[serde(serialize_with = "seconds")]
    pub elapsed_seconds: Duration,
    /// Without secrets.
    pub database: String,
}

/// What all orders in a store come to.
#[derive(Debug, PartialEq, Serialize)]
pub struct Sales {
    pub sales_orders: u64,
    pub credit_notes: u64,
    pub adjustments: u64,
    /// Sales alone.
    pub gross: Money,
    pub credits: Money,
    pub adjusted: Money,
    /// All three.
    pub net: Money,
    /// By gross, the greatest first.
    pub top_countries: Vec<Country>,
}

#[derive(Debug, PartialEq, Serialize)]
pub struct Country {
    pub country: String,
    pub gross: Money,
}

impl Sales {
    /// Replays every order in the log.
    pub async fn in_store(store: &dyn EventStore) -> Result<Self, Error> {
        let orders = LogQuery::all().select(Selection::all().aggregate_types([Order::TYPE]));
        let upcasters = Order::upcasters();
        let mut tally = Tally::default();
        store.read_log(&orders, &mut |stored| tally.add(stored.aggregate_id, stored.decode(&upcasters)?)).await?;
        Ok(tally.into_sales())
    }
}

/// The sums, while the log is read.
#[derive(Debug, Default)]
struct Tally {
    /// What has to be known of an order when its next line comes: where the amount belongs.
    orders: HashMap<Uuid, (Kind, usize)>,
    sales: Sum,
    credit_notes: Sum,
    adjustments: Sum,
    /// Gross by country, in the order in which countries came up.
    countries: Vec<Decimal>,
    indexes: HashMap<String, usize>,
}

#[derive(Debug, Default)]
struct Sum {
    orders: u64,
    amount: Decimal,
}

impl Tally {
    fn add(&mut self, order: Uuid, event: OrderEvent) -> Result<(), Error> {
        match event {
            OrderEvent::OrderPlaced { kind, country, .. } => {
                let next = self.indexes.len();
                let index = *self.indexes.entry(country).or_insert(next);
                self.countries.resize(self.indexes.len(), Decimal::ZERO);
                self.orders.insert(order, (kind, index));
                self.sum_of(kind).orders += 1;
            }
            OrderEvent::LineAdded(line) => {
                let unplaced = || Error::corrupt(format!("order {order} has a line before it was placed"));
                let (kind, country) = *self.orders.get(&order).ok_or_else(unplaced)?;
                self.sum_of(kind).amount += line.amount();
                if kind == Kind::Sale {
                    self.countries[country] += line.amount();
                }
            }
            OrderEvent::OrderPaid { .. } | OrderEvent::OrderShipped { .. } => {}
        }
        Ok(())
    }

    const fn sum_of(&mut self, kind: Kind) -> &mut Sum {
        match kind {
            Kind::Sale => &mut self.sales,
            Kind::CreditNote => &mut self.credit_notes,
            Kind::Adjustment => &mut self.adjustments,
        }
    }

    fn into_sales(self) -> Sales {
        let Self { sales, credit_notes, adjustments, countries, indexes, .. } = self;
        let gross_of = |(country, index): (String, usize)| Country { country, gross: Money(countries[index]) };
        let mut top_countries: Vec<_> = indexes.into_iter().map(gross_of).collect();
        top_countries.retain(|country| !country.gross.0.is_zero());
        top_countries
            .sort_by(|a, b| Reverse(a.gross.0).cmp(&Reverse(b.gross.0)).then_with(|| a.country.cmp(&b.country)));
        top_countries.truncate(TOP_COUNTRIES);
        Sales {
            sales_orders: sales.orders,
            credit_notes: credit_notes.orders,
            adjustments: adjustments.orders,
            gross: Money(sales.amount),
            credits: Money(credit_notes.amount),
            adjusted: Money(adjustments.amount),
            net: Money(sales.amount + credit_notes.amount + adjustments.amount),
            top_countries,
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { run, sales, elapsed_seconds, database } = self;
        let mut row = |name: &str, count: u64, amount: &dyn fmt::Display| {
            writeln!(f, "{}", format!("  {name:<24}{:>10}{amount:>18}", grouped(&count.to_string())).trim_end())
        };
        row("lines read", run.lines_read, &"")?;
        row("  executed", run.commands_accepted, &format!("{} events", grouped(&run.events_recorded.to_string())))?;
        row("  executed before", run.commands_replayed, &"nothing written")?;
        row("  rejected", run.commands_rejected, &"")?;
        row("  malformed", run.lines_malformed, &"")?;
        writeln!(f, "  in {:.1} seconds\n\n{database} now holds", elapsed_seconds.as_secs_f64())?;
        let mut row = |name: &str, count: u64, amount: Money| {
            writeln!(f, "  {name:<24}{:>10}{:>18}", grouped(&count.to_string()), grouped(&amount.to_string()))
        };
        row("sales", sales.sales_orders, sales.gross)?;
        row("credit notes", sales.credit_notes, sales.credits)?;
        row("adjustments", sales.adjustments, sales.adjusted)?;
        row("in all", sales.sales_orders + sales.credit_notes + sales.adjustments, sales.net)?;
        writeln!(f, "\nmost was sold to")?;
        for Country { country, gross } in &sales.top_countries {
            writeln!(f, "  {country:<34}{:>18}", grouped(&gross.to_string()))?;
        }
        Ok(())
    }
}

fn seconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_secs_f64())
}
