//! Many orders, while whatever can go wrong does; then the books.

use std::{
    io::Write,
    sync::Arc,
    time::{Duration, Instant},
};

use annals::Verify;
use tempfile::TempDir;
use tokio::{
    sync::watch,
    task::{AbortHandle, JoinHandle},
    time::{sleep, timeout},
};

use crate::{
    answer::{AnyError, Done},
    args::Chaos,
    books::Books,
    child::Child,
    customers,
    network::Network,
    plan::{Plan, deliveries},
    runner,
    shop::Shop,
    warehouse::{self, Promises},
};

/// How long may pass in which no order ends, beside the time that orders are promised.
const STUCK: Duration = Duration::from_secs(60);

/// How long processes may take to note that they have ended, when all orders have.
const LAST_NOTES: Duration = Duration::from_secs(30);

/// How often is looked whether all is well, where no order ends.
const LOOK: Duration = Duration::from_millis(200);

/// The longest that a kill waits, to fall somewhere: in milliseconds.
const LONGEST_PAUSE_MS: u64 = 60;

/// How many differences are shown.
const SHOWN: usize = 40;

/// Places so many orders, and sees them to their ends.
pub async fn run(
    orders: u32,
    (shop_url, payments_url): (Option<String>, Option<String>),
    chaos: &Chaos,
    out: &mut (dyn Write + Send),
) -> Done {
    let seed = chaos.seed.unwrap_or_else(|| fastrand::u64(..));
    writeln!(out, "{orders} orders, {} kills, seed {seed}", chaos.kills)?;
    out.flush()?;
    let began = Instant::now();
    let folder = tempfile::tempdir()?;
    let in_folder = |name: &str, folder: &TempDir| format!("sqlite:{}", folder.path().join(name).display());
    let urls = Urls {
        shop: shop_url.unwrap_or_else(|| in_folder("shop.db", &folder)),
        payments: payments_url.unwrap_or_else(|| in_folder("payments.db", &folder)),
    };
    let mut run = Run::begin(orders, urls, chaos, fastrand::Rng::with_seed(seed)).await?;
    let until_ended = run.until_all_have_ended(orders, chaos).await;
    let ended = run.end().await;

    writeln!(
        out,
        "  in {} seconds; killed: the runner {} times, the payment service {} times",
        began.elapsed().as_secs(),
        run.kills[0],
        run.kills[1]
    )?;
    writeln!(out, "  {}\n", run.network.mishaps)?;
    let payments = Shop::open(&run.urls.payments, None).await?;
    let books = Books::read(&*run.shop.events, &*payments.events).await?;
    write!(out, "{books}")?;
    let mut differences = books.differences(orders);
    for number in books.unfinished().take(SHOWN) {
        differences.push(runner::standing(&run.shop.database, number).await?);
    }
    differences.extend([until_ended, ended].into_iter().filter_map(|done| done.err().map(|error| error.to_string())));
    let pending = run.shop.pending_calls().await?;
    if pending > 0 {
        differences.push(format!("{pending} calls of the payment service are still to be sent again"));
    }
    for (name, shop) in [("the shop", &run.shop), ("the payment service", &payments)] {
        let report = Verify::new(&*shop.auditable).run().await?;
        writeln!(out, "  {name}: {report}")?;
        if !report.is_sound() {
            differences.push(format!("the database of {name} is not sound"));
        }
    }
    payments.close().await;
    run.shop.close().await;
    if differences.is_empty() {
        writeln!(out, "\nThe books balance.")?;
        return Ok(());
    }
    writeln!(out, "\nThe books do not balance:")?;
    for difference in differences.iter().take(SHOWN) {
        writeln!(out, "  {difference}")?;
    }
    Err(format!("{} differences in the books", differences.len()).into())
}

struct Urls {
    shop: String,
    payments: String,
}

/// Everything that is under way.
struct Run {
    shop: Shop,
    urls: Urls,
    network: Network,
    payments: Child,
    runner: Child,
    /// Of the runner, and of the payment service.
    kills: [u32; 2],
    random: fastrand::Rng,
    ended: watch::Receiver<u32>,
    customers: JoinHandle<Result<(), AnyError>>,
    warehouse: JoinHandle<Result<(), AnyError>>,
    aborting: [AbortHandle; 2],
}

impl Run {
    async fn begin(orders: u32, urls: Urls, chaos: &Chaos, mut random: fastrand::Rng) -> Result<Self, AnyError> {
        let shop = Shop::open(&urls.shop, None).await?;
        let mut plan = |at| Plan::draw(at, &mut random, chaos.ship_within, chaos.chaos);
        let plans: Vec<Plan> = (0..orders).map(&mut plan).collect();
        if let Some(first) = plans.first()
            && shop.is_known(&first.number).await?
        {
            return Err("orders were placed in this database before: take a new one".into());
        }
        for (article, quantity) in deliveries(orders) {
            shop.receive(&article, quantity, "opening").await?;
        }
        let network = Network::open(chaos.chaos.then(|| random.fork())).await?;
        let (payments, address) = Child::payments(&urls.payments).await?;
        network.lead_to(Some(address));
        let runner = Child::runner(&urls.shop, network.address).await?;
        let promises = Promises::default();
        let (ending, ended) = watch::channel(0);
        let warehouse = tokio::spawn(warehouse::work(shop.clone(), Arc::clone(&promises), ending));
        let customers = tokio::spawn(customers::order(shop.clone(), plans, promises, ended.clone()));
        let aborting = [warehouse.abort_handle(), customers.abort_handle()];
        Ok(Self { shop, urls, network, payments, runner, kills: [0; 2], random, ended, customers, warehouse, aborting })
    }

    /// Kills now and then, until all orders have ended.
    async fn until_all_have_ended(&mut self, orders: u32, chaos: &Chaos) -> Done {
        let mut last = (0, Instant::now());
        loop {
            let ended = *self.ended.borrow_and_update();
            let due = u64::from(ended) * u64::from(chaos.kills + 1) / u64::from(orders);
            while u64::from(self.kills.iter().sum::<u32>()) < due.min(chaos.kills.into()) {
                sleep(Duration::from_millis(self.random.u64(0..LONGEST_PAUSE_MS))).await;
                self.kill().await?;
            }
            if ended >= orders {
                return self.until_all_is_noted(orders).await;
            }
            if ended > last.0 {
                last = (ended, Instant::now());
            } else if last.1.elapsed() > STUCK + chaos.ship_within {
                return Err(format!("nothing happens any more: {ended} of {orders} orders have ended").into());
            }
            for (name, child) in [("runner", &mut self.runner), ("payment service", &mut self.payments)] {
                if let Some(status) = child.has_ended()? {
                    return Err(format!("the {name} has ended by itself, with {status}").into());
                }
            }
            if self.warehouse.is_finished() {
                (&mut self.warehouse).await??;
                return Err("the warehouse has ended".into());
            }
            // Nobody ordered, or this looks again: both are well.
            let _ = timeout(LOOK, self.ended.changed()).await;
        }
    }

    async fn until_all_is_noted(&mut self, orders: u32) -> Done {
        (&mut self.customers).await??;
        let since = Instant::now();
        loop {
            let books = Books::read(&*self.shop.events, &*self.shop.events).await?;
            match books.unfinished().count() {
                0 => return Ok(()),
                left if since.elapsed() > LAST_NOTES => {
                    return Err(format!("{left} of {orders} fulfilments have not come to their ends").into());
                }
                _ => sleep(LOOK).await,
            }
        }
    }

    /// Kills one of the two, or both at once, and begins them again.
    async fn kill(&mut self) -> Done {
        let which = self.random.u32(0..10);
        let (is_runner, is_payments) = (which < 6, which >= 5);
        if is_payments {
            self.network.lead_to(None);
            self.payments.kill()?;
            self.kills[1] += 1;
        }
        if is_runner {
            self.runner.kill()?;
            self.runner = Child::runner(&self.urls.shop, self.network.address).await?;
            self.kills[0] += 1;
        }
        if is_payments {
            let (payments, address) = Child::payments(&self.urls.payments).await?;
            self.payments = payments;
            self.network.lead_to(Some(address));
        }
        Ok(())
    }

    /// Ends everybody; the books are read when nobody writes any more.
    async fn end(&mut self) -> Done {
        for abort in &self.aborting {
            abort.abort();
        }
        let runner = self.runner.end().await;
        self.payments.end().await?;
        runner
    }
}
