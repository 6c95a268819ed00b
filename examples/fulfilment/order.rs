//! An order, as its customer sees it: placed once, and then shipped or cancelled.

use annals::Aggregate;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// The most lines of an order.
pub const LINES: usize = 20;

/// The most an order comes to, in cents: what the payment service takes.
pub const TOTAL_CENTS: u32 = 99_999_999;

/// An order, as far as decisions need to know it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Order {
    pub placed: Option<Placed>,
    pub end: Option<End>,
}

/// What was ordered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placed {
    /// The order's natural key: whoever knows it knows the ids of the order, of its fulfilment and of its shipment.
    pub number: String,
    pub lines: Vec<Line>,
    pub card: Card,
    /// What was promised: handed over to the carrier by then, or else cancelled.
    pub ship_by: DateTime<Utc>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    pub article: String,
    pub quantity: u32,
    pub unit_cents: u32,
}

/// What the customer pays with: made up, as the payment service's cards are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Card {
    Good,
    /// The bank says no.
    Declined,
    /// The bank takes its time.
    Slow,
}

/// How an order has ended. There is one end, and it stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum End {
    Shipped,
    Cancelled(Why),
}

/// Why an order was cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    Declined,
    OutOfStock,
    DeadlineMissed,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OrderCommand {
    Place(Placed),
    MarkShipped { parcel: String },
    Cancel { why: Why },
}

/// What can have happened to an order. These names and shapes are stored: they stay readable for ever.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "kebab-case")]
#[expect(clippy::enum_variant_names, reason = "a stored name says whose event it is")]
pub enum OrderEvent {
    OrderPlaced(Placed),
    OrderShipped { parcel: String },
    OrderCancelled { why: Why },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum OrderRejection {
    #[error("an order has 1 to {LINES} lines of different articles, each at least one piece")]
    UnfitLines,
    #[error("an order comes to 0.01 to {}", Cents(TOTAL_CENTS))]
    UnfitTotal,
    #[error("the order has been placed before")]
    AlreadyPlaced,
    #[error("there is no such order")]
    NotPlaced,
    #[error("the order has ended before")]
    AlreadyEnded(End),
}

/// An amount as people write it.
#[derive(Debug, Clone, Copy)]
pub struct Cents<N>(pub N);

impl<N: Into<u64> + Copy> std::fmt::Display for Cents<N> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let cents: u64 = self.0.into();
        f.pad(&format!("{}.{:02}", cents / 100, cents % 100))
    }
}

impl Placed {
    /// What it comes to. `None`: to nothing, or to more than can be paid.
    pub fn total(&self) -> Option<u32> {
        let line = |line: &Line| line.quantity.checked_mul(line.unit_cents);
        let sum = |sum: u32, cents: Option<u32>| sum.checked_add(cents?);
        self.lines.iter().map(line).try_fold(0, sum).filter(|total| (1..=TOTAL_CENTS).contains(total))
    }

    /// What it comes to, once it was accepted.
    pub fn total_cents(&self) -> u32 {
        self.total().unwrap_or(0)
    }

    fn check(&self) -> Result<(), OrderRejection> {
        let is_repeated = |(at, line): (usize, &Line)| self.lines[..at].iter().any(|it| it.article == line.article);
        let is_unfit = self.lines.iter().any(|line| line.quantity == 0 || line.article.is_empty());
        if self.lines.is_empty()
            || self.lines.len() > LINES
            || is_unfit
            || self.lines.iter().enumerate().any(is_repeated)
        {
            return Err(OrderRejection::UnfitLines);
        }
        self.total().map(|_| ()).ok_or(OrderRejection::UnfitTotal)
    }
}

impl Aggregate for Order {
    const TYPE: &'static str = "order";
    type Command = OrderCommand;
    type Event = OrderEvent;
    type Rejection = OrderRejection;

    fn decide(&self, command: &OrderCommand) -> Result<Vec<OrderEvent>, OrderRejection> {
        Ok(vec![match command {
            OrderCommand::Place(_) if self.placed.is_some() => return Err(OrderRejection::AlreadyPlaced),
            OrderCommand::Place(placed) => {
                placed.check()?;
                OrderEvent::OrderPlaced(placed.clone())
            }
            OrderCommand::MarkShipped { parcel } => {
                self.is_open()?;
                OrderEvent::OrderShipped { parcel: parcel.clone() }
            }
            OrderCommand::Cancel { why } => {
                self.is_open()?;
                OrderEvent::OrderCancelled { why: *why }
            }
        }])
    }

    fn evolve(&mut self, event: &OrderEvent) {
        match event {
            OrderEvent::OrderPlaced(placed) => self.placed = Some(placed.clone()),
            OrderEvent::OrderShipped { .. } => self.end = Some(End::Shipped),
            OrderEvent::OrderCancelled { why } => self.end = Some(End::Cancelled(*why)),
        }
    }
}

impl Order {
    fn is_open(&self) -> Result<(), OrderRejection> {
        match (&self.placed, &self.end) {
            (None, _) => Err(OrderRejection::NotPlaced),
            (_, Some(end)) => Err(OrderRejection::AlreadyEnded(end.clone())),
            (Some(_), None) => Ok(()),
        }
    }
}

impl End {
    /// The word for it, in reports.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Shipped => "shipped",
            Self::Cancelled(why) => why.as_str(),
        }
    }
}

impl Why {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Declined => "declined",
            Self::OutOfStock => "out of stock",
            Self::DeadlineMissed => "deadline missed",
        }
    }
}

#[cfg(test)]
mod tests {
    use annals::testing::Scenario;

    use super::*;

    fn line(article: &str, quantity: u32, unit_cents: u32) -> Line {
        Line { article: article.to_owned(), quantity, unit_cents }
    }

    fn order(lines: Vec<Line>) -> Placed {
        Placed { number: "1".to_owned(), lines, card: Card::Good, ship_by: DateTime::UNIX_EPOCH }
    }

    fn placed() -> Placed {
        order(vec![line("lantern", 2, 1_250), line("teapot", 1, 3_000)])
    }

    fn shipped() -> OrderEvent {
        OrderEvent::OrderShipped { parcel: "p".to_owned() }
    }

    fn cancelled() -> OrderEvent {
        OrderEvent::OrderCancelled { why: Why::Declined }
    }

    #[test]
    fn an_order_is_placed_once() {
        let place = || OrderCommand::Place(placed());
        Scenario::<Order>::given([]).when(place()).then([OrderEvent::OrderPlaced(placed())]);
        let again = Scenario::<Order>::given([OrderEvent::OrderPlaced(placed())]).when(place());
        again.then_rejected(OrderRejection::AlreadyPlaced);
        assert_eq!(placed().total_cents(), 5_500);
    }

    #[test]
    fn an_order_ends_once_and_in_one_way() {
        let ship = || OrderCommand::MarkShipped { parcel: "p".to_owned() };
        let cancel = || OrderCommand::Cancel { why: Why::Declined };
        let given =
            |end: Option<OrderEvent>| Scenario::<Order>::given([OrderEvent::OrderPlaced(placed())]).and_given(end);
        given(None).when(ship()).then([shipped()]);
        given(None).when(cancel()).then([cancelled()]);
        for command in [ship, cancel] {
            given(Some(shipped())).when(command()).then_rejected(OrderRejection::AlreadyEnded(End::Shipped));
            let end = End::Cancelled(Why::Declined);
            given(Some(cancelled())).when(command()).then_rejected(OrderRejection::AlreadyEnded(end));
            Scenario::<Order>::given([]).when(command()).then_rejected(OrderRejection::NotPlaced);
        }
    }

    #[test]
    fn an_order_is_of_something_and_can_be_paid() {
        let many: Vec<Line> = (0..=LINES).map(|at| line(&at.to_string(), 1, 1)).collect();
        let twice = vec![line("lantern", 1, 1), line("lantern", 1, 1)];
        for lines in [vec![], vec![line("lantern", 0, 1)], vec![line("", 1, 1)], twice, many] {
            let place = OrderCommand::Place(order(lines));
            Scenario::<Order>::given([]).when(place).then_rejected(OrderRejection::UnfitLines);
        }
        for (quantity, cents) in [(1, 0), (1, TOTAL_CENTS + 1), (2, TOTAL_CENTS), (u32::MAX, u32::MAX)] {
            let place = OrderCommand::Place(order(vec![line("lantern", quantity, cents)]));
            Scenario::<Order>::given([]).when(place).then_rejected(OrderRejection::UnfitTotal);
        }
        assert_eq!(OrderRejection::UnfitTotal.to_string(), "an order comes to 0.01 to 999999.99");
    }
}
