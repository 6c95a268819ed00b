//! The domain of all contenders: an order that is placed, gets lines, is paid and shipped.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The state of an order. It grows with its products and not with its history.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Where it stands.
    pub status: Status,
    /// Who has placed it.
    pub customer: String,
    /// What was ordered, by stock code.
    pub lines: BTreeMap<String, Line>,
    /// What it comes to.
    pub total_cents: u64,
}

/// Where an order stands.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Status {
    /// Not placed yet.
    #[default]
    New,
    /// Placed, and open for lines.
    Placed,
    /// Paid.
    Paid,
    /// On its way.
    Shipped,
}

/// A product of an order.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// How many.
    pub quantity: u64,
    /// How often it was added.
    pub times_added: u64,
}

/// What is asked of an order; each command leads to one event.
#[derive(Debug, Clone, Serialize)]
pub enum OrderCommand {
    /// To be placed.
    Place(Placed),
    /// To get a line.
    AddLine(LineAdded),
    /// To be paid.
    Pay(Paid),
    /// To be shipped.
    Ship(Shipped),
}

/// What happens to an order. The tag is stored as the event's type and the content as its payload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "kebab-case")]
pub enum OrderEvent {
    /// It was placed.
    Placed(Placed),
    /// It got a line.
    LineAdded(LineAdded),
    /// It was paid.
    Paid(Paid),
    /// It was shipped.
    Shipped(Shipped),
}

/// An order is placed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placed {
    /// Who.
    pub customer: String,
    /// From where.
    pub country: String,
}

/// A line is added.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineAdded {
    /// The stock code.
    pub sku: String,
    /// What it is.
    pub description: String,
    /// How many.
    pub quantity: u64,
    /// What one costs.
    pub unit_price_cents: u64,
}

/// An order is paid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Paid {
    /// How.
    pub method: String,
    /// How much.
    pub amount_cents: u64,
}

/// An order is shipped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shipped {
    /// By whom.
    pub carrier: String,
    /// The number to look it up by.
    pub tracking: String,
}

/// Why a command is refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("an order that is {status} cannot be {wanted}")]
pub struct OrderRejection {
    /// How the order is.
    pub status: String,
    /// What it cannot be.
    pub wanted: String,
}

impl Order {
    /// Decides which event a command leads to.
    ///
    /// # Errors
    ///
    /// Where the order does not stand where it must for that.
    pub fn decide(&self, command: &OrderCommand) -> Result<OrderEvent, OrderRejection> {
        match (command, self.status) {
            (OrderCommand::Place(_), Status::New)
            | (OrderCommand::AddLine(_) | OrderCommand::Pay(_), Status::Placed)
            | (OrderCommand::Ship(_), Status::Paid) => Ok(OrderEvent::of(command)),
            (wanted, status) => {
                Err(OrderRejection { status: format!("{status:?}"), wanted: wanted.participle().to_owned() })
            }
        }
    }

    /// Folds an event.
    pub fn evolve(&mut self, event: &OrderEvent) {
        match event {
            OrderEvent::Placed(placed) => {
                self.status = Status::Placed;
                self.customer.clone_from(&placed.customer);
            }
            OrderEvent::LineAdded(added) => {
                match self.lines.get_mut(&added.sku) {
                    Some(line) => line.add(added.quantity),
                    None => self.lines.entry(added.sku.clone()).or_default().add(added.quantity),
                }
                self.total_cents += added.quantity * added.unit_price_cents;
            }
            OrderEvent::Paid(_) => self.status = Status::Paid,
            OrderEvent::Shipped(_) => self.status = Status::Shipped,
        }
    }

    /// The state after these events.
    pub fn after<'e>(events: impl IntoIterator<Item = &'e OrderEvent>) -> Self {
        let mut order = Self::default();
        events.into_iter().for_each(|event| order.evolve(event));
        order
    }

    /// Whether it has come to the end of its life.
    #[must_use]
    pub fn is_shipped(&self) -> bool {
        self.status == Status::Shipped
    }

    /// How often a line was added.
    pub fn additions(&self) -> u64 {
        self.lines.values().map(|line| line.times_added).sum()
    }
}

impl Line {
    fn add(&mut self, quantity: u64) {
        self.quantity += quantity;
        self.times_added += 1;
    }
}

impl OrderCommand {
    const fn participle(&self) -> &'static str {
        match self {
            Self::Place(_) => "placed",
            Self::AddLine(_) => "given a line",
            Self::Pay(_) => "paid",
            Self::Ship(_) => "shipped",
        }
    }

    /// The life of an order, from placed to shipped.
    pub fn lifecycle(number: u64) -> [Self; 4] {
        let line = LineAdded::numbered(number);
        let amount_cents = line.quantity * line.unit_price_cents;
        let method = "card".to_owned();
        let shipped = Shipped { carrier: "Royal Mail".to_owned(), tracking: format!("RM{number:09}GB") };
        [Self::place(number), Self::AddLine(line), Self::Pay(Paid { method, amount_cents }), Self::Ship(shipped)]
    }

    /// The command that an order begins with.
    #[must_use]
    pub fn place(number: u64) -> Self {
        Self::Place(Placed { customer: format!("customer-{number}"), country: "United Kingdom".to_owned() })
    }

    /// A line that can be added again and again.
    #[must_use]
    pub fn add_line(number: u64) -> Self {
        Self::AddLine(LineAdded::numbered(number))
    }
}

impl OrderEvent {
    /// The event that a command leads to, where nothing speaks against it.
    pub fn of(command: &OrderCommand) -> Self {
        match command {
            OrderCommand::Place(placed) => Self::Placed(placed.clone()),
            OrderCommand::AddLine(line) => Self::LineAdded(line.clone()),
            OrderCommand::Pay(paid) => Self::Paid(paid.clone()),
            OrderCommand::Ship(shipped) => Self::Shipped(shipped.clone()),
        }
    }

    /// A history of this many events: placed, and then one line after the other.
    pub fn history(events: u64) -> Vec<Self> {
        let placed = Placed { customer: "customer-1".to_owned(), country: "United Kingdom".to_owned() };
        let lines = (1..events).map(|number| Self::LineAdded(LineAdded::numbered(number)));
        std::iter::once(Self::Placed(placed)).chain(lines).collect()
    }

    /// The type as it is stored.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Placed(_) => "placed",
            Self::LineAdded(_) => "line-added",
            Self::Paid(_) => "paid",
            Self::Shipped(_) => "shipped",
        }
    }

    /// An order of eight events, from placed to shipped.
    pub fn life(number: u64) -> Vec<Self> {
        let [placed, _, pay, ship] = OrderCommand::lifecycle(number);
        let lines = (number..number + 5).map(|line| Self::LineAdded(LineAdded::numbered(line)));
        std::iter::once(Self::of(&placed)).chain(lines).chain([Self::of(&pay), Self::of(&ship)]).collect()
    }

    /// The type as it is stored, and the payload as JSON: for contenders that keep them in two columns.
    ///
    /// # Errors
    ///
    /// None that can happen: all of it can be written as JSON.
    pub fn encode(&self) -> serde_json::Result<(&'static str, String)> {
        Ok(match self {
            Self::Placed(placed) => ("placed", serde_json::to_string(placed)?),
            Self::LineAdded(line) => ("line-added", serde_json::to_string(line)?),
            Self::Paid(paid) => ("paid", serde_json::to_string(paid)?),
            Self::Shipped(shipped) => ("shipped", serde_json::to_string(shipped)?),
        })
    }

    /// The event of a stored type and payload.
    ///
    /// # Errors
    ///
    /// Where they are not those of an event.
    pub fn decode(event_type: &str, payload: &str) -> serde_json::Result<Self> {
        Ok(match event_type {
            "placed" => Self::Placed(serde_json::from_str(payload)?),
            "line-added" => Self::LineAdded(serde_json::from_str(payload)?),
            "paid" => Self::Paid(serde_json::from_str(payload)?),
            "shipped" => Self::Shipped(serde_json::from_str(payload)?),
            other => return Err(serde::de::Error::custom(format!("{other:?} is no event of an order"))),
        })
    }
}

/// What the events of many orders come to.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Turnover {
    /// Orders placed.
    pub placed: u64,
    /// Pieces ordered.
    pub quantity: u64,
    /// What they come to.
    pub ordered_cents: u64,
    /// What was paid.
    pub paid_cents: u64,
    /// Orders shipped.
    pub shipped: u64,
}

impl Turnover {
    /// Counts an event in.
    pub fn add(&mut self, event: &OrderEvent) {
        match event {
            OrderEvent::Placed(_) => self.placed += 1,
            OrderEvent::LineAdded(line) => {
                self.quantity += line.quantity;
                self.ordered_cents += line.quantity * line.unit_price_cents;
            }
            OrderEvent::Paid(paid) => self.paid_cents += paid.amount_cents,
            OrderEvent::Shipped(_) => self.shipped += 1,
        }
    }
}

impl LineAdded {
    /// What it comes to, as databases count.
    #[must_use]
    pub const fn total_cents(&self) -> i64 {
        (self.quantity * self.unit_price_cents).cast_signed()
    }

    /// One of forty products.
    fn numbered(number: u64) -> Self {
        Self {
            sku: format!("851{:02}A", number % 40),
            description: "WHITE HANGING HEART T-LIGHT HOLDER".to_owned(),
            quantity: 1 + number % 6,
            unit_price_cents: 255,
        }
    }
}

/// The id of the order with this number.
pub fn order_id(number: u64) -> Uuid {
    Uuid::new_v5(&Uuid::NAMESPACE_OID, &number.to_be_bytes())
}
