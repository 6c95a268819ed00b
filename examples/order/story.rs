//! The story: one order, and what goes wrong with requests in practice.
//!
//! Each scene is a function, and they build on one another. What they have in common: requests are sent through a
//! [`Repository`] under a key that the client has made, and may be sent again at any time.

use std::{error::Error, io::Write, sync::Arc, time::Duration};

use annals::{
    Error as StoreError, EventStore, ExecuteError, Executed, ExpectedVersion, Id, IdempotencyKey, ManualClock, Outcome,
    Repository, StreamQuery, testing::Faulty,
};
use chrono::{NaiveDate, NaiveDateTime};
use rust_decimal::Decimal;

use crate::{
    database,
    domain::{Header, Line, Order, OrderCommand, OrderEvent, OrderRejection},
};

type Told = Result<(), Box<dyn Error + Send + Sync>>;
type Answer = Result<Executed, ExecuteError<OrderRejection>>;

/// Tells the whole story, in the database of a URL or in memory. It comes out the same every time, down to the last byte,
/// but for the name of the database, and the number of the order where the story was told there before.
pub async fn tell(url: Option<&str>, out: &mut (dyn Write + Send)) -> Told {
    let clock = Arc::new(ManualClock::new(opening_time().and_utc()));
    let shared_clock = Arc::<ManualClock>::clone(&clock);
    let store = database::connect(url.unwrap_or(IN_MEMORY), Some(shared_clock)).await?;
    let orders = Repository::new(&store);
    let invoice = untold(&orders).await?;
    let mut story = Story {
        orders,
        // The invoice number is the order's natural key: whoever knows it knows the id.
        id: Id::natural(&invoice),
        invoice,
        store,
        clock,
        out,
    };
    story.prologue(url)?;
    story.an_order_is_placed().await?;
    story.the_same_request_again().await?;
    story.the_same_key_for_another_request().await?;
    story.the_domain_says_no().await?;
    story.two_at_once().await?;
    story.two_at_once_for_one_version().await?;
    story.a_reply_is_lost().await?;
    story.a_no_stays_a_no().await?;
    story.the_order_as_it_was().await
}

const IN_MEMORY: &str = "sqlite::memory:";

/// Below the numbers of real invoices: who imports some into the same database meets no order of the story.
const FIRST_INVOICE: u32 = 500_001;

/// How often the story can be told in one database.
const TELLINGS: u32 = 1_000;

/// Finds a number that no order has yet.
async fn untold(orders: &Repository<Order>) -> Result<String, Box<dyn Error + Send + Sync>> {
    for invoice in FIRST_INVOICE..FIRST_INVOICE + TELLINGS {
        let invoice = invoice.to_string();
        if !orders.load(Id::natural(&invoice)).await?.exists() {
            return Ok(invoice);
        }
    }
    Err(format!("the story has been told {TELLINGS} times in this database").into())
}

struct Story<'o> {
    store: Arc<dyn EventStore>,
    orders: Repository<Order>,
    id: Id<Order>,
    invoice: String,
    /// Moved on by hand, so that the story takes half an hour and no time.
    clock: Arc<ManualClock>,
    out: &'o mut (dyn Write + Send),
}

impl Story<'_> {
    fn prologue(&mut self, url: Option<&str>) -> Told {
        writeln!(self.out, "The story of one order\n")?;
        let place = url.map_or_else(|| "a database in memory".to_owned(), database::without_secrets);
        self.say(&format!("It lives on {place}."))?;
        self.say("Every request bears a key that its sender has made up; whoever is not sure that a request got")?;
        self.say("through sends it again under the key it had. An answer marked (again) was not decided now: it is")?;
        self.say("the first answer, kept with the order as the request's receipt.")
    }

    async fn an_order_is_placed(&mut self) -> Told {
        self.scene("1. An order is placed", 0)?;
        self.say("who   key    request                           answer")?;
        let place = place(&self.invoice);
        self.send("Ann", "ann-1", &place).await?;
        self.send("Ann", "ann-2", &add(6, "hanging heart", 255)).await?;
        self.send("Ann", "ann-3", &add(6, "metal lantern", 339)).await?;

        let order = self.orders.load(self.id).await?;
        let (lines, total) = (order.state.lines, order.state.total);
        self.say("")?;
        self.say(&format!("The order is at version {}: {lines} lines, {total} in all.", order.version))
    }

    async fn the_same_request_again(&mut self) -> Told {
        self.scene("2. The same request again", 2)?;
        self.say("Ann has heard nothing of her last request, and sends it again. Nothing is added twice.")?;
        self.say("")?;
        let before = self.events().await?;
        self.send("Ann", "ann-3", &add(6, "metal lantern", 339)).await?;
        self.events_were(before).await
    }

    async fn the_same_key_for_another_request(&mut self) -> Told {
        self.scene("3. The same key for another request", 1)?;
        self.say("Ann's till has a fault: it takes the old key for something new.")?;
        self.say("")?;
        let before = self.events().await?;
        self.send("Ann", "ann-3", &add(1, "hot water bottle", 375)).await?;
        self.events_were(before).await
    }

    async fn the_domain_says_no(&mut self) -> Told {
        self.scene("4. The domain says no", 2)?;
        self.say("Ben, in the warehouse, is too early. A no is an answer as well: it is kept, and given again.")?;
        self.say("")?;
        let before = self.events().await?;
        self.send("Ben", "ben-1", &ship()).await?;
        self.send("Ben", "ben-1", &ship()).await?;
        self.events_were(before).await
    }

    async fn two_at_once(&mut self) -> Told {
        self.scene("5. Two at once", 5)?;
        self.say("Ann and Eve add the same thing in the same moment. They are two requests, and both happen: whoever")?;
        self.say("comes second is decided again, on top of the first.")?;
        self.say("")?;
        let before = self.events().await?;
        let card = add(1, "greeting card", 125);
        let ann = self.orders.execute(self.id, &card).idempotency_key(key("ann-4")?);
        let eve = self.orders.execute(self.id, &card).idempotency_key(key("eve-1")?);
        let (ann, eve) = tokio::join!(ann.into_future(), eve.into_future());
        // Who was first is anybody's guess.
        self.row("Ann", "ann-4", &card, first_word(&in_words(&ann)))?;
        self.row("Eve", "eve-1", &card, first_word(&in_words(&eve)))?;
        self.events_were(before).await
    }

    async fn two_at_once_for_one_version(&mut self) -> Told {
        self.scene("6. Two at once, for one version", 3)?;
        let seen = self.orders.load(self.id).await?.version;
        self.say(&format!(
            "Both have looked at version {seen}, and want to change that version and no other. One of them can."
        ))?;
        self.say("")?;
        let before = self.events().await?;
        let bag = add(1, "gift bag", 85);
        let as_seen = ExpectedVersion::Exact(seen);
        let ann = self.orders.execute(self.id, &bag).idempotency_key(key("ann-5")?).expected_version(as_seen);
        let eve = self.orders.execute(self.id, &bag).idempotency_key(key("eve-2")?).expected_version(as_seen);
        let (ann, eve) = tokio::join!(ann.into_future(), eve.into_future());
        let (one, other) = if ann.is_ok() { (ann, eve) } else { (eve, ann) };
        self.row("one", "", &bag, &in_words(&one))?;
        self.row("other", "", &bag, &in_words(&other))?;
        self.events_were(before).await
    }

    async fn a_reply_is_lost(&mut self) -> Told {
        self.scene("7. A reply is lost", 4)?;
        self.say(
            "The connection breaks after the commit and before the reply. Whether Ann has paid is not guessed at:",
        )?;
        self.say("the store is sent the same again, and knows it.")?;
        self.say("")?;
        let before = self.events().await?;
        let due = self.orders.load(self.id).await?.state.total;
        // A store that fails on demand, around the real one.
        let faulty = Faulty::new(Arc::clone(&self.store), 0);
        faulty.lose_next_reply();
        let pay = OrderCommand::Pay { amount: due };
        let answer = Repository::<Order>::new(&faulty).execute(self.id, &pay).idempotency_key(key("ann-6")?).await;
        self.row("Ann", "ann-6", &pay, &in_words(&answer))?;
        let after = self.events().await?;
        self.say("")?;
        self.say(&format!("Replies lost: {}. Events before: {before}, after: {after}.", faulty.faults()))
    }

    async fn a_no_stays_a_no(&mut self) -> Told {
        self.scene("8. A no stays a no", 6)?;
        self.say(
            "Now the order is paid. Ben's old request keeps its answer all the same: who retries must be able to",
        )?;
        self.say("rely on it. A new decision takes a new request.")?;
        self.say("")?;
        self.send("Ben", "ben-1", &ship()).await?;
        self.send("Ben", "ben-2", &ship()).await?;
        self.say("")?;
        self.say("Anybody can ask later what became of a request:")?;
        for asked in ["ann-3", "ben-1", "ben-3"] {
            let answer = match self.orders.outcome(self.id, &key(asked)?).await? {
                Some(Outcome::Accepted(done)) => format!("accepted: version {}", done.version),
                Some(Outcome::Rejected(rejection)) => format!("rejected: {rejection}"),
                Some(Outcome::Forestalled) | None => "never executed".to_owned(),
            };
            self.say(&format!("  {asked}  {answer}"))?;
        }
        Ok(())
    }

    async fn the_order_as_it_was(&mut self) -> Told {
        self.scene("9. The order as it was", 0)?;
        self.say("Nothing was overwritten. The order is its history, and can be seen at every version of it.")?;
        self.say("")?;
        self.say("version  recorded  what happened                       lines    total  status")?;
        let mut rows = Vec::new();
        let visit = |step: annals::Step<'_, Order>| {
            let Order { lines, total, status, .. } = step.state;
            let time = step.stored.recorded_at.format("%H:%M");
            let event = happened(step.event);
            rows.push(format!(
                "{:>7}  {time:<8}  {event:<34}  {lines:>5}  {total:>7.2}  {status}",
                step.stored.sequence
            ));
        };
        self.orders.replay(self.id, visit).await?;
        for row in rows {
            self.say(&row)?;
        }

        let third = self.orders.load_at(self.id, 3).await?.state;
        let time = opening_time() + Duration::from_secs(12 * 60);
        let then = self.orders.load_until(self.id, time.and_utc()).await?;
        self.say("")?;
        self.say(&format!("At version 3 it had {} lines and was {}.", third.lines, third.status))?;
        self.say(&format!(
            "At {} it was at version {} and came to {}.",
            time.format("%H:%M"),
            then.version,
            then.state.total
        ))
    }
}

/// What the scenes are told with.
impl Story<'_> {
    /// Begins a scene, some minutes after the last one.
    fn scene(&mut self, title: &str, minutes_later: u64) -> Told {
        self.clock.advance(Duration::from_secs(60 * minutes_later));
        Ok(write!(self.out, "\n{title}\n\n")?)
    }

    fn say(&mut self, text: &str) -> Told {
        Ok(writeln!(self.out, "{}", format!("   {text}").trim_end())?)
    }

    /// Sends a request under a key, and writes down what came back.
    async fn send(&mut self, who: &str, name: &str, command: &OrderCommand) -> Told {
        let answer = self.orders.execute(self.id, command).idempotency_key(key(name)?).await;
        self.row(who, name, command, &in_words(&answer))
    }

    fn row(&mut self, who: &str, key: &str, command: &OrderCommand, answer: &str) -> Told {
        self.say(&format!("{who:<6}{key:<7}{:<34}{answer}", request(command)))
    }

    /// Counts the order's events in the database.
    async fn events(&mut self) -> Result<u64, StoreError> {
        let mut events = 0;
        let mut count = |_: annals::EventRef<'_>| {
            events += 1;
            Ok(())
        };
        self.store.read_stream(&StreamQuery::of(self.id.uuid()), &mut count).await?;
        Ok(events)
    }

    async fn events_were(&mut self, before: u64) -> Told {
        let after = self.events().await?;
        self.say("")?;
        self.say(&format!("Events before: {before}, after: {after}."))
    }
}

fn place(invoice: &str) -> OrderCommand {
    OrderCommand::Place(Header {
        invoice: invoice.to_owned(),
        customer: Some("17850".to_owned()),
        country: "United Kingdom".to_owned(),
    })
}

fn add(quantity: i64, description: &str, pence: i64) -> OrderCommand {
    OrderCommand::AddLine(Line {
        stock_code: description.to_uppercase().replace(' ', "-"),
        description: Some(description.to_owned()),
        quantity,
        unit_price: Decimal::new(pence, 2),
        invoiced_at: opening_time(),
    })
}

fn ship() -> OrderCommand {
    OrderCommand::Ship { carrier: "Royal Mail".to_owned() }
}

fn key(name: &str) -> Result<IdempotencyKey, StoreError> {
    IdempotencyKey::new(name)
}

fn opening_time() -> NaiveDateTime {
    let day = NaiveDate::from_ymd_opt(2010, 12, 1).unwrap_or_default();
    day.and_hms_opt(8, 26, 0).unwrap_or_default()
}

fn request(command: &OrderCommand) -> String {
    match command {
        OrderCommand::Place(header) => format!("place order {}", header.invoice),
        OrderCommand::AddLine(line) | OrderCommand::TakeInvoiceLine { line, .. } => format!("add {}", goods(line)),
        OrderCommand::Pay { amount } => format!("pay {amount}"),
        OrderCommand::Ship { carrier } => format!("ship by {carrier}"),
    }
}

fn happened(event: &OrderEvent) -> String {
    match event {
        OrderEvent::OrderPlaced { customer, .. } => {
            format!("placed for customer {}", customer.as_deref().unwrap_or("(unknown)"))
        }
        OrderEvent::LineAdded(line) => format!("{} added", goods(line)),
        OrderEvent::OrderPaid { amount } => format!("{amount} paid"),
        OrderEvent::OrderShipped { carrier } => format!("shipped by {carrier}"),
    }
}

fn goods(line: &Line) -> String {
    let what = line.description.as_ref().unwrap_or(&line.stock_code);
    format!("{} × {what} at {}", line.quantity, line.unit_price)
}

fn in_words(answer: &Answer) -> String {
    let (answer, replayed) = match answer {
        Ok(done) => (format!("accepted: version {}", done.version), done.replayed),
        Err(ExecuteError::Rejected { rejection, replayed }) => (format!("rejected: {rejection}"), *replayed),
        Err(ExecuteError::Store(StoreError::KeyReused { .. })) => {
            ("refused: the key belongs to another request".to_owned(), false)
        }
        Err(ExecuteError::Store(StoreError::Conflict { actual, .. })) => {
            (format!("conflict: the order is at version {actual} by now"), false)
        }
        Err(other) => (format!("failed: {other}"), false),
    };
    if replayed { answer + " (again)" } else { answer }
}

fn first_word(answer: &str) -> &str {
    answer.split(':').next().unwrap_or(answer)
}
