//! A till at which made-up orders are taken.

use annals::{Id, IdempotencyKey, Position, Repository};
use chrono::NaiveDateTime;
use rust_decimal::Decimal;

use crate::{
    answer::AnyError,
    domain::{Header, Line, Order, OrderCommand},
};

/// Takes one order, of one line, and tells the position of its last event: who looks for the order in a read model waits
/// for that.
pub async fn sell(
    orders: &Repository<Order>,
    invoice: &str,
    country: &str,
    invoiced_at: NaiveDateTime,
    price: Decimal,
) -> Result<Position, AnyError> {
    let header = Header { invoice: invoice.to_owned(), customer: None, country: country.to_owned() };
    // What comes back has a price below zero here, and needs no negative quantity.
    let line = Line { stock_code: "GIFT".to_owned(), description: None, quantity: 1, unit_price: price, invoiced_at };
    let done = orders
        .execute(Id::natural(invoice), &OrderCommand::TakeInvoiceLine { header, line })
        .idempotency_key(IdempotencyKey::new("line-1")?)
        .await?;
    done.position.ok_or_else(|| "a line that was taken is an event".into())
}
