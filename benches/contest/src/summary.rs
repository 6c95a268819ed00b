//! The table that a log is rebuilt into: a row for each order.

use std::collections::HashMap;

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::order::{OrderEvent, order_id};

/// A row of it; or what some events of an order change in its row.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// The last of `placed`, `paid` and `shipped`; empty before.
    pub status: String,
    /// Who has placed it; empty before.
    pub customer: String,
    /// How often a line was added.
    pub lines: i64,
    /// What the lines come to.
    pub total_cents: i64,
}

/// An order's row as databases hand it out: its id, and the fields of [`Summary`] in their order.
pub type SummaryRow = (Uuid, String, String, i64, i64);

impl Summary {
    /// Counts an event in.
    pub fn add(&mut self, event: &OrderEvent) {
        match event {
            OrderEvent::Placed(placed) => self.customer.clone_from(&placed.customer),
            OrderEvent::LineAdded(line) => {
                self.lines += 1;
                self.total_cents += line.total_cents();
                return;
            }
            OrderEvent::Paid(_) | OrderEvent::Shipped(_) => {}
        }
        event.kind().clone_into(&mut self.status);
    }

    /// The row after these events.
    pub fn after<'e>(events: impl IntoIterator<Item = &'e OrderEvent>) -> Self {
        let mut summary = Self::default();
        events.into_iter().for_each(|event| summary.add(event));
        summary
    }

    /// The order's id, and its row.
    #[must_use]
    pub fn of_row((order, status, customer, lines, total_cents): SummaryRow) -> (Uuid, Self) {
        (order, Self { status, customer, lines, total_cents })
    }
}

/// Makes sure that a table has what the lives of so many orders come to, and nothing else.
pub(crate) fn check(found: &[(Uuid, Summary)], orders: u64) -> Result<()> {
    let rows: HashMap<_, _> = found.iter().map(|(order, summary)| (*order, summary)).collect();
    ensure!(rows.len() == found.len(), "{} rows are of {} orders", found.len(), rows.len());
    ensure!(u64::try_from(rows.len())? == orders, "{orders} orders were summed up, and {} rows are there", rows.len());
    for number in 0..orders {
        let (expected, found) = (Summary::after(&OrderEvent::life(number)), rows.get(&order_id(number)));
        ensure!(
            found.is_some_and(|found| **found == expected),
            "order {number} is {expected:?} and was made {found:?}"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Summary, check};
    use crate::order::{OrderEvent, order_id};

    #[test]
    fn a_life_comes_to_its_row() {
        let summary = Summary::after(&OrderEvent::life(3));
        assert_eq!((summary.status.as_str(), summary.customer.as_str()), ("shipped", "customer-3"));
        // Of the lines 3 to 7: 4, 5, 6, 1 and 2 pieces of 255.
        assert_eq!((summary.lines, summary.total_cents), (5, 18 * 255));
    }

    #[test]
    fn a_row_that_is_missing_wrong_doubled_or_another_order_s_is_seen() {
        let row = |number: u64| (order_id(number), Summary::after(&OrderEvent::life(number)));
        assert!(check(&[row(0), row(1)], 2).is_ok());
        assert!(check(&[row(0)], 2).is_err());
        assert!(check(&[row(0), row(1), row(1)], 2).is_err());
        assert!(check(&[row(0), row(2)], 2).is_err());
        let mut late = row(1);
        late.1.lines -= 1;
        assert!(check(&[row(0), late], 2).is_err());
    }
}
