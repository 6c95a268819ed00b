//! The books of one order that was shipped, as they are, and with something wrong in them: which is found.

use std::pin::Pin;

use annals::{
    Aggregate, Append, EventStoreExt as _, Id, NewEvent, Repository,
    process::{Cause, Process, ProcessCommand, ProcessEvent, ProcessNote},
};
use chrono::Utc;
use serde_json::value::to_raw_value;
use uuid::Uuid;

use crate::{
    books::Books,
    fulfilment::{Fulfilment, Input, order_id, process_id, shipment_id, stock_id},
    order::{Card, Line, Order, OrderCommand, OrderEvent, Placed, Why},
    payments::Charged,
    payments_api::{
        amount::{Amount, Currency},
        charge::{self, Charge, ChargeCommand, ChargeEvent, Notes, Refunded},
    },
    shipment::{Shipment, ShipmentCommand, ShipmentEvent},
    shop::Shop,
    stock::{Stock, StockCommand, StockEvent},
};

const NUMBER: &str = "order-0";
const ARTICLE: &str = "article-0";
const CENTS: u32 = 398;

/// Both databases, with one order that was shipped.
struct World {
    shop: Shop,
    payments: Shop,
}

impl World {
    async fn of_one_shipped_order() -> Self {
        let open = || Shop::open("sqlite::memory:", None);
        let it = Self { shop: open().await.unwrap(), payments: open().await.unwrap() };
        let lines = vec![Line { article: ARTICLE.to_owned(), quantity: 2, unit_cents: 199 }];
        let order = Placed { number: NUMBER.to_owned(), lines, card: Card::Good, ship_by: Utc::now() };
        it.shop.receive(ARTICLE, 10, "opening").await.unwrap();
        it.shop.place(&order).await.unwrap();
        it.charge(1, CENTS, NUMBER).await;
        it.stock(StockCommand::Reserve { order: NUMBER.to_owned(), quantity: 2 }).await;
        let shipments = Repository::<Shipment>::new(&it.shop.events);
        let book = ShipmentCommand::Book { order: NUMBER.to_owned() };
        shipments.execute(shipment_id(NUMBER), &book).await.unwrap();
        it.shop.hand_over(NUMBER).await.unwrap();
        it.stock(StockCommand::HandOut { order: NUMBER.to_owned() }).await;
        let orders = Repository::<Order>::new(&it.shop.events);
        let shipped = OrderCommand::MarkShipped { parcel: "p".to_owned() };
        orders.execute(order_id(NUMBER), &shipped).await.unwrap();
        it.process(Input::Placed(order)).await;
        it.process(Input::HandedOver { order: NUMBER.to_owned(), parcel: "p".to_owned() }).await;
        it
    }

    async fn charge(&self, charge: u32, cents: u32, order: &str) {
        let charged = charge::Charged {
            account: "a".to_owned(),
            amount: Amount::new(cents).unwrap(),
            currency: Currency::Eur,
            metadata: Notes::from([("order".to_owned(), order.to_owned())]),
        };
        let create = ChargeCommand::Create { charged, card: charge::Card::Accepted };
        let charges = Repository::<Charge>::new(&self.payments.events);
        charges.execute(Id::natural(&charge.to_string()), &create).await.unwrap();
    }

    async fn stock(&self, command: StockCommand) {
        let stock = Repository::<Stock>::new(&self.shop.events);
        stock.execute(stock_id(ARTICLE), &command).await.unwrap();
    }

    /// The process takes an input, and then all its steps are done.
    async fn process(&self, input: Input) {
        let processes = Repository::<Process<Fulfilment>>::new(&self.shop.events);
        let (id, at) = (process_id(NUMBER), Utc::now());
        let cause = Cause::Event { aggregate_id: order_id(NUMBER).uuid(), sequence: 1 };
        processes.execute(id, &ProcessCommand::Take { cause, input, at }).await.unwrap();
        while let Some(step) = processes.load(id).await.unwrap().state.next_step() {
            let charged = Charged { charge: "ch".to_owned(), key: "k".to_owned(), attempts: 1, replayed: false };
            let result = if step.name == "charge" { to_raw_value(&charged) } else { to_raw_value(&()) };
            let settle = ProcessCommand::Settle { step: step.name.clone(), outcome: Ok(result.unwrap()), at };
            processes.execute(id, &settle).await.unwrap();
        }
    }

    async fn differences(&self) -> Vec<String> {
        Books::read(&*self.shop.events, &*self.payments.events).await.unwrap().differences(1)
    }
}

#[tokio::test]
async fn the_books_of_a_shipped_order_balance() {
    let world = World::of_one_shipped_order().await;
    assert_eq!(world.differences().await, [] as [&str; 0]);
    let books = Books::read(&*world.shop.events, &*world.payments.events).await.unwrap();
    assert_eq!((books.unfinished().count(), books.differences(2).len()), (0, 1), "two were to be placed");
}

type Forge = fn(&Shop) -> Pin<Box<dyn Future<Output = ()> + '_>>;

/// Writes an event that no decision leads to.
async fn forge<A: Aggregate>(shop: &Shop, id: Id<A>, event: A::Event) {
    let event = NewEvent::encode(&event, &A::upcasters()).unwrap();
    shop.events.append_one(Append::to(id).event(event)).await.unwrap();
}

#[tokio::test]
async fn a_second_charge_one_for_no_order_and_a_refund_too_many_are_found() {
    let world = World::of_one_shipped_order().await;
    world.charge(2, CENTS, NUMBER).await;
    let found = world.differences().await.join("\n");
    assert!(found.contains("order-0: it was charged 2 times"), "{found}");
    assert!(found.contains("order-0: 7.96 were charged, not 3.98"), "{found}");
    assert!(found.contains("\n7.96 charged less 0.00 refunded is not 3.98 shipped"), "{found}");

    let world = World::of_one_shipped_order().await;
    world.charge(2, CENTS, "order-9").await;
    let found = world.differences().await.join("\n");
    assert!(found.contains("is for no order: \"order-9\""), "{found}");

    let world = World::of_one_shipped_order().await;
    let refunded = Refunded { refund: Uuid::nil(), amount: Amount::new(1).unwrap(), metadata: Notes::new() };
    forge::<Charge>(&world.payments, Id::natural("1"), ChargeEvent::ChargeRefunded(refunded)).await;
    let found = world.differences().await.join("\n");
    assert!(found.contains("order-0: 3.98 charged less 0.01 refunded is not 3.98"), "{found}");
    assert!(found.contains("\n3.98 charged less 0.01 refunded is not 3.98 shipped"), "{found}");
}

#[tokio::test]
async fn two_ends_two_parcels_and_a_fulfilment_that_ends_twice_are_found() {
    let cases: [(&str, Forge); 4] = [
        ("it has the ends [\"shipped\", \"declined\"], not one", |shop| {
            let cancelled = OrderEvent::OrderCancelled { why: Why::Declined };
            Box::pin(forge::<Order>(shop, order_id(NUMBER), cancelled))
        }),
        ("2 parcels were handed over", |shop| {
            let handed_over = ShipmentEvent::ShipmentHandedOver { order: NUMBER.to_owned(), parcel: "q".to_owned() };
            Box::pin(forge::<Shipment>(shop, shipment_id(NUMBER), handed_over))
        }),
        ("its fulfilment has ended 2 times, not once", |shop| {
            let ended = ProcessEvent::Note(ProcessNote::ProcessCompensated);
            Box::pin(forge::<Process<Fulfilment>>(shop, process_id(NUMBER), ended))
        }),
        ("order order-9 belongs to no order", |shop| {
            let shipped = OrderEvent::OrderShipped { parcel: "q".to_owned() };
            Box::pin(forge::<Order>(shop, order_id("order-9"), shipped))
        }),
    ];
    for (difference, forge) in cases {
        let world = World::of_one_shipped_order().await;
        forge(&world.shop).await;
        let found = world.differences().await.join("\n").replace(&order_id("order-9").to_string(), "order-9");
        assert!(found.contains(difference), "{difference}: {found}");
    }
}

#[tokio::test]
async fn stock_that_is_kept_for_nobody_or_lost_is_found() {
    let world = World::of_one_shipped_order().await;
    world.stock(StockCommand::Reserve { order: "order-9".to_owned(), quantity: 3 }).await;
    let found = world.differences().await.join("\n");
    assert!(found.contains("article-0: 10 received, 5 free, 3 reserved, 2 handed out, 2 in shipped orders"), "{found}");

    let world = World::of_one_shipped_order().await;
    let lost = StockEvent::StockHandedOut { order: "order-9".to_owned(), quantity: 1 };
    forge::<Stock>(&world.shop, stock_id(ARTICLE), lost).await;
    let found = world.differences().await.join("\n");
    assert!(found.contains("article-0: 10 received, 8 free, 0 reserved, 3 handed out, 2 in shipped orders"), "{found}");
}
