//! The domain: what an order is, what can be asked of it, and what can have happened to it.
//!
//! This file is the whole model. Nothing in it waits, reads a database or asks for the time, so its rules are tested at
//! the end of the file without any of them, and the store may run it again as often as it has to.

use std::fmt;

use annals::Aggregate;
use chrono::NaiveDateTime;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

/// An order, as far as the next decision needs to know it.
///
/// The lines themselves are not kept here: they are in the events, for whoever wants to list them. So an order of a
/// thousand lines is as small in memory as one of two.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Order {
    pub kind: Kind,
    pub status: Status,
    pub lines: u32,
    pub total: Decimal,
}

/// What an invoice says it is: its number tells.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    #[default]
    Sale,
    CreditNote,
    Adjustment,
}

/// How far an order has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    #[default]
    Unknown,
    Open,
    Paid,
    Shipped,
}

/// What can be asked of an order.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum OrderCommand {
    Place(Header),
    AddLine(Line),
    /// Takes one line of an invoice as it was printed: the first one also places the order.
    TakeInvoiceLine {
        header: Header,
        line: Line,
    },
    Pay {
        amount: Decimal,
    },
    Ship {
        carrier: String,
    },
}

/// What can have happened to an order. These names and shapes are stored: they stay readable for ever.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "kebab-case")]
pub enum OrderEvent {
    OrderPlaced { invoice: String, kind: Kind, customer: Option<String>, country: String },
    LineAdded(Line),
    OrderPaid { amount: Decimal },
    OrderShipped { carrier: String },
}

/// The head of an invoice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    pub invoice: String,
    /// Shops sell over the counter, too: not every customer is known.
    pub customer: Option<String>,
    pub country: String,
}

/// A line of an invoice. Negative quantities and prices of zero are daily business: returns, samples, write-offs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    pub stock_code: String,
    pub description: Option<String>,
    pub quantity: i64,
    /// Exact, and stored as text: `"2.55"`.
    pub unit_price: Decimal,
    /// On each line, because a long invoice can take more than a minute to key in.
    pub invoiced_at: NaiveDateTime,
}

/// Why an order says no. Stored under the request's key, and given back as this very value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum OrderRejection {
    #[error("no such order has been placed")]
    NotPlaced,
    #[error("the order has been placed before")]
    AlreadyPlaced,
    #[error("the order is {status}: nothing can be added to it")]
    Closed { status: Status },
    #[error("the line is worth more than {MAX_AMOUNT} either way, or has more than {MAX_DECIMALS} decimals")]
    OutOfRange,
    #[error("the order has no lines: there is nothing to pay for")]
    NoLines,
    #[error("{due} is due, not {offered}")]
    WrongAmount { due: Decimal, offered: Decimal },
    #[error("the order is not paid, {due} is due")]
    NotPaid { due: Decimal },
    #[error("the order is {status} already")]
    Already { status: Status },
    #[error("a {kind} is neither paid nor shipped")]
    NotASale { kind: Kind },
}

/// The most a line may be worth, either way.
///
/// With it, and with [`MAX_DECIMALS`], billions of lines add up within the 28 digits of a [`Decimal`]: every sum is
/// exact, and folding an event cannot fail.
const MAX_AMOUNT: i64 = 1_000_000_000_000;

/// The most decimals a price may have.
pub const MAX_DECIMALS: u32 = 6;

impl Aggregate for Order {
    const TYPE: &'static str = "order";
    type Command = OrderCommand;
    type Event = OrderEvent;
    type Rejection = OrderRejection;

    fn decide(&self, command: &OrderCommand) -> Result<Vec<OrderEvent>, OrderRejection> {
        Ok(match command {
            OrderCommand::Place(header) => vec![self.place(header)?],
            OrderCommand::AddLine(line) => vec![self.add(line)?],
            OrderCommand::TakeInvoiceLine { header, line } if self.status == Status::Unknown => {
                let placed = self.place(header)?;
                let mut order = self.clone();
                order.evolve(&placed);
                vec![placed, order.add(line)?]
            }
            OrderCommand::TakeInvoiceLine { line, .. } => vec![self.add(line)?],
            OrderCommand::Pay { amount } => vec![self.pay(*amount)?],
            OrderCommand::Ship { carrier } => vec![self.ship(carrier)?],
        })
    }

    fn evolve(&mut self, event: &OrderEvent) {
        match event {
            OrderEvent::OrderPlaced { kind, .. } => (self.kind, self.status) = (*kind, Status::Open),
            OrderEvent::LineAdded(line) => {
                self.lines += 1;
                self.total += line.amount();
            }
            OrderEvent::OrderPaid { .. } => self.status = Status::Paid,
            OrderEvent::OrderShipped { .. } => self.status = Status::Shipped,
        }
    }
}

impl Order {
    fn place(&self, header: &Header) -> Result<OrderEvent, OrderRejection> {
        match self.status {
            Status::Unknown => {
                let Header { invoice, customer, country } = header.clone();
                Ok(OrderEvent::OrderPlaced { kind: Kind::of_invoice(&invoice), invoice, customer, country })
            }
            Status::Open | Status::Paid | Status::Shipped => Err(OrderRejection::AlreadyPlaced),
        }
    }

    fn add(&self, line: &Line) -> Result<OrderEvent, OrderRejection> {
        match self.status {
            Status::Unknown => Err(OrderRejection::NotPlaced),
            Status::Open if line.is_in_range() => Ok(OrderEvent::LineAdded(line.clone())),
            Status::Open => Err(OrderRejection::OutOfRange),
            status @ (Status::Paid | Status::Shipped) => Err(OrderRejection::Closed { status }),
        }
    }

    fn pay(&self, offered: Decimal) -> Result<OrderEvent, OrderRejection> {
        let due = self.total;
        match self.status {
            Status::Unknown => Err(OrderRejection::NotPlaced),
            Status::Open if self.kind != Kind::Sale => Err(OrderRejection::NotASale { kind: self.kind }),
            Status::Open if self.lines == 0 => Err(OrderRejection::NoLines),
            Status::Open if offered != due => Err(OrderRejection::WrongAmount { due, offered }),
            Status::Open => Ok(OrderEvent::OrderPaid { amount: offered }),
            status @ (Status::Paid | Status::Shipped) => Err(OrderRejection::Already { status }),
        }
    }

    fn ship(&self, carrier: &str) -> Result<OrderEvent, OrderRejection> {
        match self.status {
            Status::Unknown => Err(OrderRejection::NotPlaced),
            Status::Open if self.kind != Kind::Sale => Err(OrderRejection::NotASale { kind: self.kind }),
            Status::Open => Err(OrderRejection::NotPaid { due: self.total }),
            Status::Paid => Ok(OrderEvent::OrderShipped { carrier: carrier.to_owned() }),
            status @ Status::Shipped => Err(OrderRejection::Already { status }),
        }
    }
}

impl Kind {
    /// Credit notes are numbered `C…`, adjustments `A…`; every other invoice is a sale.
    pub fn of_invoice(number: &str) -> Self {
        match number.as_bytes().first() {
            Some(b'C') => Self::CreditNote,
            Some(b'A') => Self::Adjustment,
            _ => Self::Sale,
        }
    }
}

impl Line {
    /// What the line adds to the order's total. Exact for every line that an order has taken.
    pub fn amount(&self) -> Decimal {
        Decimal::from(self.quantity) * self.unit_price
    }

    fn is_in_range(&self) -> bool {
        let amount = Decimal::from(self.quantity).checked_mul(self.unit_price);
        self.unit_price.scale() <= MAX_DECIMALS
            && amount.is_some_and(|amount| amount.abs() <= Decimal::from(MAX_AMOUNT))
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sale => "sale",
            Self::CreditNote => "credit note",
            Self::Adjustment => "adjustment",
        })
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Unknown => "unknown",
            Self::Open => "open",
            Self::Paid => "paid",
            Self::Shipped => "shipped",
        })
    }
}

#[cfg(test)]
mod tests {
    use annals::testing::{Scenario, assert_stored_names};

    use super::*;

    #[test]
    fn an_order_is_placed_paid_and_shipped() {
        orders([]).when(OrderCommand::Place(header("536365"))).then([placed("536365", Kind::Sale)]);
        orders([open()]).when(OrderCommand::AddLine(line(6, "2.55"))).then([added(6, "2.55")]);
        orders([open(), added(6, "2.55")]).when(pay("15.3")).then([paid("15.3")]);
        orders([open(), added(6, "2.55"), paid("15.3")])
            .when(ship())
            .then([OrderEvent::OrderShipped { carrier: "Royal Mail".to_owned() }])
            .then_state(|order| assert_eq!((order.status, order.lines), (Status::Shipped, 1)));
    }

    #[test]
    fn the_first_line_of_an_invoice_places_the_order() {
        let take = |invoice| OrderCommand::TakeInvoiceLine { header: header(invoice), line: line(-1, "27.5") };
        for (invoice, kind) in [("536365", Kind::Sale), ("C536379", Kind::CreditNote), ("A563185", Kind::Adjustment)] {
            orders([]).when(take(invoice)).then([placed(invoice, kind), added(-1, "27.5")]);
            orders([placed(invoice, kind)]).when(take(invoice)).then([added(-1, "27.5")]);
        }
    }

    #[test]
    fn amounts_are_exact() {
        let lines = [(3, "0.1"), (-1, "0.3"), (7, "1.005"), (0, "9.99"), (5, "0.0")];
        let events = lines.map(|(quantity, price)| added(quantity, price));
        orders([open()])
            .and_given(events)
            .when(OrderCommand::AddLine(line(1, "0.2")))
            .then_state(|order| assert_eq!(order.total, amount("7.235")));
    }

    #[test]
    fn nothing_happens_to_an_order_that_was_not_placed() {
        for command in [OrderCommand::AddLine(line(1, "1")), pay("0"), ship()] {
            orders([]).when(command).then_rejected(OrderRejection::NotPlaced);
        }
    }

    #[test]
    fn an_order_is_placed_once() {
        orders([open()]).when(OrderCommand::Place(header("536365"))).then_rejected(OrderRejection::AlreadyPlaced);
    }

    #[test]
    fn an_order_is_paid_in_full_and_once() {
        let (due, offered) = (amount("2.55"), amount("2.5"));
        orders([open()]).when(pay("0")).then_rejected(OrderRejection::NoLines);
        orders([open(), added(1, "2.55")]).when(pay("2.5")).then_rejected(OrderRejection::WrongAmount { due, offered });
        orders([open(), added(1, "2.55"), paid("2.55")])
            .when(pay("2.55"))
            .then_rejected(OrderRejection::Already { status: Status::Paid });
    }

    #[test]
    fn a_paid_order_is_closed() {
        orders([open(), added(1, "2.55"), paid("2.55")])
            .when(OrderCommand::AddLine(line(1, "1")))
            .then_rejected(OrderRejection::Closed { status: Status::Paid });
    }

    #[test]
    fn an_order_is_shipped_when_paid_and_once() {
        let (paid, shipped) = (paid("2.55"), OrderEvent::OrderShipped { carrier: "Royal Mail".to_owned() });
        let due = amount("2.55");
        orders([open(), added(1, "2.55")]).when(ship()).then_rejected(OrderRejection::NotPaid { due });
        orders([open(), added(1, "2.55"), paid, shipped])
            .when(ship())
            .then_rejected(OrderRejection::Already { status: Status::Shipped });
    }

    #[test]
    fn only_sales_are_paid_and_shipped() {
        for kind in [Kind::CreditNote, Kind::Adjustment] {
            for command in [pay("-1"), ship()] {
                orders([placed("C1", kind), added(-1, "1")])
                    .when(command)
                    .then_rejected(OrderRejection::NotASale { kind });
            }
        }
    }

    #[test]
    fn lines_beyond_all_sums_are_refused() {
        let far = [(i64::MAX, "0.01"), (i64::MIN, "1"), (2, "500000000000.5"), (1, "0.0000001")];
        for (quantity, price) in far.into_iter().chain([(2, "79228162514264337593543950335")]) {
            let command = OrderCommand::AddLine(line(quantity, price));
            orders([open()]).when(command).then_rejected(OrderRejection::OutOfRange);
        }
        orders([open()]).when(OrderCommand::AddLine(line(-2, "500000000000"))).then([added(-2, "500000000000")]);
    }

    /// What is stored is read for ever: renaming an event, or changing its shape, fails here.
    #[test]
    fn stored_events_stay_readable() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/order/stored_events.jsonl");
        let placed = OrderEvent::OrderPlaced {
            invoice: "536365".to_owned(),
            kind: Kind::Sale,
            customer: Some("17850".to_owned()),
            country: "United Kingdom".to_owned(),
        };
        let described = Line { description: Some("WHITE METAL LANTERN".to_owned()), ..line(6, "3.39") };
        let shipped = OrderEvent::OrderShipped { carrier: "Royal Mail".to_owned() };
        let today = [placed, OrderEvent::LineAdded(described), paid("20.34"), shipped];
        assert_stored_names::<Order>(today, file);
    }

    fn orders(events: impl IntoIterator<Item = OrderEvent>) -> Scenario<Order> {
        Scenario::given(events)
    }

    fn header(invoice: &str) -> Header {
        Header { invoice: invoice.to_owned(), customer: None, country: "France".to_owned() }
    }

    fn line(quantity: i64, price: &str) -> Line {
        Line {
            stock_code: "85123A".to_owned(),
            description: None,
            quantity,
            unit_price: amount(price),
            invoiced_at: NaiveDateTime::default(),
        }
    }

    fn amount(text: &str) -> Decimal {
        text.parse().unwrap()
    }

    fn placed(invoice: &str, kind: Kind) -> OrderEvent {
        let Header { invoice, customer, country } = header(invoice);
        OrderEvent::OrderPlaced { invoice, kind, customer, country }
    }

    fn open() -> OrderEvent {
        placed("536365", Kind::Sale)
    }

    fn added(quantity: i64, price: &str) -> OrderEvent {
        OrderEvent::LineAdded(line(quantity, price))
    }

    fn pay(offered: &str) -> OrderCommand {
        OrderCommand::Pay { amount: amount(offered) }
    }

    fn paid(offered: &str) -> OrderEvent {
        OrderEvent::OrderPaid { amount: amount(offered) }
    }

    fn ship() -> OrderCommand {
        OrderCommand::Ship { carrier: "Royal Mail".to_owned() }
    }
}
