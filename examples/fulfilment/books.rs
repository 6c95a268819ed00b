//! The books: what all histories come to, at the shop and at the payment service, and whether it fits together.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
};

use annals::{
    Aggregate as _, Error, EventRef, EventStore, LogQuery,
    process::{Process, ProcessEvent, ProcessNote, ProcessStatus},
};
use uuid::Uuid;

use crate::{
    fulfilment::{Fulfilment, order_id, process_id, shipment_id, stock_id},
    order::{Cents, End, Order, OrderEvent, Placed},
    payments_api::charge::{Charge, ChargeEvent},
    plan::articles,
    shipment::{Shipment, ShipmentEvent},
    stock::Stock,
};

/// Everything there is, by order and by article.
#[derive(Debug, Default)]
pub struct Books {
    orders: BTreeMap<String, OrderBook>,
    stock: BTreeMap<String, Stock>,
    /// To which order the histories belong that do not say it themselves.
    numbers: HashMap<Uuid, String>,
    /// Charges by their ids, with the order they bear.
    charges: HashMap<Uuid, String>,
    /// What belongs to nothing.
    strays: Vec<String>,
}

/// What there is of one order.
#[derive(Debug, Default)]
struct OrderBook {
    placed: Option<Placed>,
    ends: Vec<End>,
    process: Process<Fulfilment>,
    /// How often its process has ended.
    process_ends: u32,
    is_charge_known: bool,
    handed_over: u32,
    /// Of each charge: the amount, and what of it was given back.
    charges: Vec<u64>,
    refunds: Vec<u64>,
}

impl OrderBook {
    fn total(&self) -> u64 {
        self.placed.as_ref().map_or(0, |placed| placed.total_cents().into())
    }

    fn is_shipped(&self) -> bool {
        self.ends.contains(&End::Shipped)
    }
}

impl Books {
    /// Reads both logs to their ends.
    pub async fn read(shop: &dyn EventStore, payments: &dyn EventStore) -> Result<Self, Error> {
        let mut books = Self::default();
        let articles: HashMap<Uuid, String> = articles().map(|article| (stock_id(&article).uuid(), article)).collect();
        shop.read_log(&LogQuery::all(), &mut |stored| books.enter(&stored, &articles)).await?;
        payments.read_log(&LogQuery::all(), &mut |stored| books.enter_payment(&stored)).await?;
        Ok(books)
    }

    fn enter(&mut self, stored: &EventRef<'_>, articles: &HashMap<Uuid, String>) -> Result<(), Error> {
        if stored.aggregate_type == Stock::TYPE {
            let article = articles.get(&stored.aggregate_id).cloned().unwrap_or_default();
            self.stock.entry(article).or_default().evolve(&stored.decode_as::<Stock>()?);
            return Ok(());
        }
        if stored.aggregate_type == Order::TYPE
            && let OrderEvent::OrderPlaced(placed) = stored.decode_as::<Order>()?
        {
            let number = &placed.number;
            for id in [order_id(number).uuid(), shipment_id(number).uuid(), process_id(number).uuid()] {
                self.numbers.insert(id, number.clone());
            }
        }
        let Some(number) = self.numbers.get(&stored.aggregate_id) else {
            self.strays.push(format!("{} {} belongs to no order", stored.aggregate_type, stored.aggregate_id));
            return Ok(());
        };
        let book = self.orders.entry(number.clone()).or_default();
        match stored.aggregate_type {
            Order::TYPE => match stored.decode_as::<Order>()? {
                OrderEvent::OrderPlaced(placed) => book.placed = Some(placed),
                OrderEvent::OrderShipped { .. } => book.ends.push(End::Shipped),
                OrderEvent::OrderCancelled { why } => book.ends.push(End::Cancelled(why)),
            },
            Shipment::TYPE => {
                let event = stored.decode_as::<Shipment>()?;
                book.handed_over += u32::from(matches!(event, ShipmentEvent::ShipmentHandedOver { .. }));
            }
            <Process<Fulfilment>>::TYPE => {
                let event = stored.decode_as::<Process<Fulfilment>>()?;
                match &event {
                    ProcessEvent::Note(ProcessNote::ProcessCompleted | ProcessNote::ProcessCompensated) => {
                        book.process_ends += 1;
                    }
                    ProcessEvent::Note(
                        ProcessNote::ProcessStepDone { step, .. } | ProcessNote::ProcessStepRefused { step, .. },
                    ) if step == "charge" => book.is_charge_known = true,
                    ProcessEvent::Note(_) | ProcessEvent::Own(_) => {}
                }
                book.process.evolve(&event);
            }
            // The payment service may live in the same database.
            _ => {}
        }
        Ok(())
    }

    fn enter_payment(&mut self, stored: &EventRef<'_>) -> Result<(), Error> {
        if stored.aggregate_type != Charge::TYPE {
            return Ok(());
        }
        match stored.decode_as::<Charge>()? {
            ChargeEvent::ChargeCreated(charged) => {
                let number = charged.metadata.get("order").cloned().unwrap_or_default();
                match self.orders.get_mut(&number) {
                    Some(book) => book.charges.push(charged.amount.units().into()),
                    None => self.strays.push(format!("the charge {} is for no order: {number:?}", stored.aggregate_id)),
                }
                self.charges.insert(stored.aggregate_id, number);
            }
            ChargeEvent::ChargeRefunded(refunded) => {
                let number = self.charges.get(&stored.aggregate_id);
                let book = number.and_then(|number| self.orders.get_mut(number));
                if let Some(book) = book {
                    book.refunds.push(refunded.amount.units().into());
                }
            }
        }
        Ok(())
    }

    /// The orders whose fulfilments have not come to their end.
    pub fn unfinished(&self) -> impl Iterator<Item = &str> {
        let unfinished = self.orders.iter().filter(|(_, book)| !book.process.status().is_terminal());
        unfinished.map(|(number, _)| number.as_str())
    }

    /// What does not fit together, in so many orders. Nothing: the books balance.
    pub fn differences(&self, orders: u32) -> Vec<String> {
        let mut differences = self.strays.clone();
        let placed = self.orders.values().filter(|book| book.placed.is_some()).count();
        if placed != orders as usize {
            differences.push(format!("{orders} orders were to be placed, and {placed} are there"));
        }
        for (number, book) in &self.orders {
            differences.extend(differences_of(book).into_iter().map(|difference| format!("{number}: {difference}")));
        }
        let [charged, refunded, shipped] = self.sums();
        if charged.checked_sub(refunded) != Some(shipped) {
            differences.push(format!(
                "{} charged less {} refunded is not {} shipped",
                Cents(charged),
                Cents(refunded),
                Cents(shipped)
            ));
        }
        for (article, stock) in &self.stock {
            differences.extend(self.differences_in(article, stock));
        }
        differences
    }

    fn differences_in(&self, article: &str, stock: &Stock) -> Option<String> {
        let lines = self.orders.values().filter(|book| book.is_shipped()).flat_map(|book| &book.placed);
        let lines = lines.flat_map(|placed| &placed.lines).filter(|line| line.article == article);
        let shipped: u64 = lines.map(|line| u64::from(line.quantity)).sum();
        let reserved: u64 = stock.reserved.values().map(|quantity| u64::from(*quantity)).sum();
        let fits = stock.received == stock.free + stock.handed_out && reserved == 0 && stock.handed_out == shipped;
        (!fits).then(|| {
            format!(
                "{article}: {} received, {} free, {reserved} reserved, {} handed out, {shipped} in shipped orders",
                stock.received, stock.free, stock.handed_out
            )
        })
    }

    /// In cents: what was charged, what was given back, and what shipped orders come to.
    fn sums(&self) -> [u64; 3] {
        self.orders.values().fold([0; 3], |[charged, refunded, shipped], book| {
            let total = if book.is_shipped() { book.total() } else { 0 };
            [charged + book.charges.iter().sum::<u64>(), refunded + book.refunds.iter().sum::<u64>(), shipped + total]
        })
    }
}

fn differences_of(book: &OrderBook) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut hold = |holds: bool, difference: &dyn Fn() -> String| {
        if !holds {
            wrong.push(difference());
        }
    };
    let ends: Vec<&str> = book.ends.iter().map(End::as_str).collect();
    let status = book.process.status();
    hold(book.ends.len() == 1, &|| format!("it has the ends {ends:?}, not one"));
    hold(book.process_ends == 1, &|| format!("its fulfilment has ended {} times, not once", book.process_ends));
    let wanted = if book.is_shipped() { ProcessStatus::Completed } else { ProcessStatus::Compensated };
    hold(status == wanted, &|| format!("its fulfilment is {}: {:?}", status.as_str(), book.process));
    let is_handed_over = book.handed_over == u32::from(book.is_shipped());
    hold(is_handed_over, &|| format!("{} parcels were handed over, and it is {ends:?}", book.handed_over));
    hold(book.charges.len() <= 1, &|| format!("it was charged {} times", book.charges.len()));
    let (charged, refunded) = (book.charges.iter().sum::<u64>(), book.refunds.iter().sum::<u64>());
    let (owed, total) = (if book.is_shipped() { book.total() } else { 0 }, book.total());
    hold(charged == 0 || charged == total, &|| format!("{} were charged, not {}", Cents(charged), Cents(total)));
    hold(charged.checked_sub(refunded) == Some(owed), &|| {
        format!("{} charged less {} refunded is not {}", Cents(charged), Cents(refunded), Cents(owed))
    });
    wrong
}

impl fmt::Display for Books {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut by_end: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
        for book in self.orders.values() {
            let end = book.ends.first().map_or("unfinished", End::as_str);
            let (orders, total) = by_end.entry(end).or_default();
            (*orders, *total) = (*orders + 1, *total + book.total());
        }
        let mut row = |name: &str, count: u64, cents: u64| writeln!(f, "  {name:<28}{count:>8}{:>16}", Cents(cents));
        for (end, (orders, total)) in by_end {
            row(end, orders, total)?;
        }
        let [charged, refunded, shipped] = self.sums();
        let count = |entries: fn(&OrderBook) -> usize| self.orders.values().map(entries).sum::<usize>() as u64;
        let (charges, refunds) = (count(|book| book.charges.len()), count(|book| book.refunds.len()));
        row("charges", charges, charged)?;
        row("refunds", refunds, refunded)?;
        row("charges less refunds", charges.saturating_sub(refunds), charged.saturating_sub(refunded))?;
        row("shipped orders", count(|book| usize::from(book.is_shipped())), shipped)?;
        let sum = |part: fn(&Stock) -> u64| self.stock.values().map(part).sum::<u64>();
        let reserved = sum(|stock| stock.reserved.values().map(|quantity| u64::from(*quantity)).sum());
        writeln!(
            f,
            "  stock: {} received, {} handed out, {} free, {reserved} reserved",
            sum(|stock| stock.received),
            sum(|stock| stock.handed_out),
            sum(|stock| stock.free)
        )?;
        let undone = |book: &&OrderBook| book.process.status() == ProcessStatus::Compensated;
        let undone: Vec<&OrderBook> = self.orders.values().filter(undone).collect();
        let in_doubt = undone.iter().filter(|book| !book.is_charge_known).count();
        writeln!(f, "  {} fulfilments undone, {in_doubt} of them with a charge in doubt", undone.len())
    }
}
