//! The story: five orders, and what becomes of them.
//!
//! Nothing is printed on the way: what happened to an order is read back from the histories it has left at both services.

use std::{
    io::Write,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use annals::{Clock, EventStore};
use axum::{
    extract::{Request, State},
    middleware::{Next, from_fn_with_state},
    response::Response,
};
use chrono::{NaiveDate, NaiveDateTime};
use clap::Parser as _;
use tokio::{net::TcpListener, task::JoinHandle};

use crate::{
    answer::{AnyError, Done},
    database::without_secrets,
    order::{Card, Line, Placed},
    payments::{Patience, Payments},
    payments_api::{
        args::Args as PaymentsArgs,
        routes::{Api, router},
        server::{Stores, layer},
    },
    runner::Runner,
    shop::Shop,
    shop_clock::ShopClock,
    timeline::{Timeline, summary},
};

const IN_MEMORY: &str = "sqlite::memory:";

/// How often the story can be told in one database.
const TELLINGS: u32 = 1_000;

/// What an order is promised: to be shipped within a day.
const SHIP_WITHIN: Duration = Duration::from_secs(24 * 60 * 60);

/// How long the shop waits for an answer of the payment service before it asks again.
const PATIENCE: Patience = Patience {
    answer: Duration::from_secs(2),
    attempts: 5,
    call: Duration::from_secs(20),
    pause: Duration::from_millis(100),
};

/// Tells the whole story, in the database of a URL or in memory.
pub async fn tell(url: Option<&str>, out: &mut (dyn Write + Send)) -> Done {
    let clock = Arc::new(ShopClock::starting_at(opening_time().and_utc()));
    let shared_clock = Arc::<ShopClock>::clone(&clock);
    let shop = Shop::open(url.unwrap_or(IN_MEMORY), Some(shared_clock)).await?;
    let bank = Bank::open(Arc::<ShopClock>::clone(&clock)).await?;
    let payments = Payments::new(&format!("http://{}", bank.address), Arc::clone(&shop.keys), PATIENCE);
    let runner = Runner::on(&shop.database, &payments)?;
    let telling = untold(&shop).await?;
    let mut story = Story { shop, bank, runner, clock, telling, out };
    story.prologue(url).await?;
    story.all_goes_well().await?;
    story.a_card_is_declined().await?;
    story.the_warehouse_runs_out().await?;
    story.a_deadline_is_missed().await?;
    story.the_payment_is_late().await?;
    story.shop.close().await;
    Ok(())
}

fn opening_time() -> NaiveDateTime {
    NaiveDate::from_ymd_opt(2026, 11, 23).unwrap_or_default().and_hms_opt(9, 0, 0).unwrap_or_default()
}

/// Finds out how often the story was told here before.
async fn untold(shop: &Shop) -> Result<u32, AnyError> {
    for telling in 1..=TELLINGS {
        if !shop.is_known(&format!("{telling}001")).await? {
            return Ok(telling);
        }
    }
    Err(format!("the story has been told {TELLINGS} times in this database").into())
}

/// The payment service, in this process and all the same behind a network.
struct Bank {
    events: Arc<dyn EventStore>,
    address: SocketAddr,
    next_answer_is_lost: Arc<AtomicBool>,
    serving: JoinHandle<std::io::Result<()>>,
}

impl Bank {
    async fn open(clock: Arc<dyn Clock>) -> Result<Self, AnyError> {
        let args = PaymentsArgs::parse_from(["payments_api", "--database-url", IN_MEMORY, "--in-flight-wait", "10"]);
        let stores = Stores::open(&args, Some(clock)).await?;
        let layer = layer(Arc::clone(&stores.responses), &args)?;
        let next_answer_is_lost = Arc::new(AtomicBool::new(false));
        let lossy = from_fn_with_state(Arc::clone(&next_answer_is_lost), hold_back);
        let service = router(&Api::new(&stores.events), &layer, args.errors).layer(lossy);
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let serving = tokio::spawn(axum::serve(listener, service).into_future());
        Ok(Self { events: stores.events, address, next_answer_is_lost, serving })
    }
}

impl Drop for Bank {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// The network between: carries the request, and holds the answer back until nobody waits for it any more.
async fn hold_back(State(is_lost): State<Arc<AtomicBool>>, request: Request, next: Next) -> Response {
    let answer = next.run(request).await;
    if is_lost.swap(false, Ordering::SeqCst) {
        std::future::pending::<()>().await;
    }
    answer
}

struct Story<'o> {
    shop: Shop,
    bank: Bank,
    runner: Runner,
    clock: Arc<ShopClock>,
    telling: u32,
    out: &'o mut (dyn Write + Send),
}

impl Story<'_> {
    async fn prologue(&mut self, url: Option<&str>) -> Done {
        let place = url.map_or_else(|| "a database in memory".to_owned(), without_secrets);
        writeln!(self.out, "The story of five orders\n")?;
        self.say(&format!("The shop lives on {place}, the payment service on one of its own, over HTTP."))?;
        self.say("Each line is an event: when it was recorded, whose history it is in, and its place there.")?;
        self.say("What undoes something is marked ↩.")?;
        self.shop.receive(&self.article("lantern"), 10, "delivery-1").await?;
        self.shop.receive(&self.article("teapot"), 1, "delivery-1").await
    }

    async fn all_goes_well(&mut self) -> Done {
        let order = self.order(1, &[("lantern", 2, 1_250), ("teapot", 1, 3_000)], Card::Good);
        self.place("1. All goes well", &order, 0).await?;
        self.hand_over(&order, 45).await?;
        self.show(&order).await
    }

    async fn a_card_is_declined(&mut self) -> Done {
        let order = self.order(2, &[("lantern", 1, 1_250)], Card::Declined);
        self.place("2. A card is declined", &order, 10).await?;
        self.show(&order).await?;
        self.conclude("That was all: nothing had been done that would have to be undone.")
    }

    async fn the_warehouse_runs_out(&mut self) -> Done {
        let order = self.order(3, &[("lantern", 3, 1_250), ("teapot", 1, 3_000)], Card::Good);
        self.place("3. The warehouse runs out", &order, 10).await?;
        self.show(&order).await?;
        self.conclude("The lanterns were free again before the money was back: the last step is undone first.")
    }

    async fn a_deadline_is_missed(&mut self) -> Done {
        let order = self.order(4, &[("lantern", 1, 1_250)], Card::Good);
        self.place("4. A deadline is missed", &order, 10).await?;
        // Nobody packs it.
        self.clock.skip(SHIP_WITHIN + Duration::from_secs(60));
        self.runner.catch_up().await?;
        self.show(&order).await?;
        let came = if self.shop.hand_over(&order.number).await? { "was taken" } else { "was not taken any more" };
        self.conclude(&format!("Too late the warehouse came with the parcel, which {came}."))
    }

    async fn the_payment_is_late(&mut self) -> Done {
        let order = self.order(5, &[("lantern", 2, 1_250)], Card::Good);
        self.bank.next_answer_is_lost.store(true, Ordering::SeqCst);
        self.place("5. The payment service answers too late", &order, 10).await?;
        self.hand_over(&order, 30).await?;
        self.show(&order).await?;
        self.conclude(
            "The first attempt had charged the card, and nobody has heard of it. The second had the same key.",
        )
    }

    /// An article is one of this telling.
    fn article(&self, name: &str) -> String {
        if self.telling == 1 { name.to_owned() } else { format!("{name}-{}", self.telling) }
    }

    fn order(&self, number: u32, lines: &[(&str, u32, u32)], card: Card) -> Placed {
        let line = |&(name, quantity, unit_cents)| Line { article: self.article(name), quantity, unit_cents };
        Placed {
            number: format!("{}{number:03}", self.telling),
            lines: lines.iter().map(line).collect(),
            card,
            ship_by: opening_time().and_utc(),
        }
    }

    async fn place(&mut self, title: &str, order: &Placed, minutes_later: u64) -> Done {
        writeln!(self.out, "\n{title}\n")?;
        self.clock.skip(Duration::from_secs(minutes_later * 60));
        let placed = Placed { ship_by: self.clock.now_in_micros() + SHIP_WITHIN, ..order.clone() };
        self.shop.place(&placed).await?;
        self.runner.catch_up().await?;
        Ok(())
    }

    async fn hand_over(&mut self, order: &Placed, minutes_later: u64) -> Done {
        self.clock.skip(Duration::from_secs(minutes_later * 60));
        self.shop.hand_over(&order.number).await?;
        self.runner.catch_up().await?;
        Ok(())
    }

    async fn show(&mut self, order: &Placed) -> Done {
        let timeline = Timeline::of(&order.number, &self.shop.events, &self.bank.events).await?;
        write!(self.out, "   Order {}: {}\n\n{timeline}", order.number, summary(order))?;
        Ok(())
    }

    fn conclude(&mut self, text: &str) -> Done {
        writeln!(self.out)?;
        self.say(text)
    }

    fn say(&mut self, text: &str) -> Done {
        writeln!(self.out, "   {text}")?;
        Ok(())
    }
}
