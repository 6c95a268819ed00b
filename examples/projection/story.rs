//! The story: a read model, those who write orders, and those who read it.

use std::{future::pending, io::Write, sync::Arc, time::Duration};

use annals::{ManualClock, Position, Progress, Projector, Repository, RunState, SqliteStore};
use chrono::{NaiveDate, NaiveDateTime};
use rust_decimal::Decimal;
use tokio::{sync::oneshot, time::timeout};

use crate::{
    answer::{AnyError, Done},
    domain::Order,
    money::{Money, grouped},
    read_model::ReadModel,
    sales::{SalesByDay, amount_of},
    till::sell,
};

/// Tells the whole story, in a database of its own that is gone afterwards. It comes out the same every time.
pub async fn tell(out: &mut (dyn Write + Send)) -> Done {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("shop.db");
    let clock = Arc::new(ManualClock::new(day(1).and_utc()));
    let shared_clock = Arc::<ManualClock>::clone(&clock);
    let store = SqliteStore::options().shared_clock(shared_clock).open(&file).await?;
    let mut story = Story {
        orders: Repository::new(&store),
        projector: Projector::new(&store, SalesByDay)?,
        readers: ReadModel::connect(&format!("sqlite:{}", file.display())).await?,
        clock,
        out,
    };
    writeln!(story.out, "The story of one read model\n")?;
    story.say("Orders are written through a repository; a projection makes rows of their events; and readers look")?;
    story.say("at the rows through connections of their own. All of it is in one file, which is gone afterwards.")?;
    story.orders_come_in().await?;
    story.your_own_writes().await?;
    story.a_runner_dies().await?;
    story.it_is_made_anew().await
}

/// How long a reader waits for the projection.
const PATIENCE: Duration = Duration::from_secs(10);

struct Story<'o> {
    orders: Repository<Order>,
    projector: Projector<SqliteStore, SalesByDay>,
    readers: ReadModel,
    /// Leases last by the store's clock. This one is moved on by hand.
    clock: Arc<ManualClock>,
    out: &'o mut (dyn Write + Send),
}

impl Story<'_> {
    async fn orders_come_in(&mut self) -> Done {
        self.scene("1. Orders come in")?;
        self.sell("500001", "United Kingdom", 1, 1_530).await?;
        self.sell("500002", "France", 1, 12_575).await?;
        self.sell("500003", "United Kingdom", 2, 255).await?;
        self.sell("C500004", "France", 2, -4_250).await?;
        self.projector.catch_up().await?;
        self.say("Four orders were taken, and then the projection has caught up. The rows of the read model:")?;
        self.show_rows().await
    }

    async fn your_own_writes(&mut self) -> Done {
        self.scene("2. Who has written something waits for it")?;
        self.say(
            "The projection now runs beside everything else, and is behind, if only by moments. Whoever wants to",
        )?;
        self.say("see an order of their own waits until its position is in the rows.")?;
        let (stop, stopped) = oneshot::channel::<()>();
        let projector = self.projector.clone();
        let runner = tokio::spawn(async move { projector.run(async { drop(stopped.await) }).await });

        let position = self.sell("500005", "Norway", 2, 9_900).await?;
        self.projector.wait_until(position, PATIENCE).await?;
        self.show_rows().await?;

        // Told to stop it ends the batch it is at, and lets go of its lease: the next runner need not wait.
        drop(stop);
        Ok(runner.await??)
    }

    async fn a_runner_dies(&mut self) -> Done {
        self.scene("3. A runner dies")?;
        self.say("Another one runs, and dies without a word. Its lease has not lapsed yet, so nobody else runs the")?;
        self.say("projection, and an order waits.")?;
        let projector = self.projector.clone();
        let runner = tokio::spawn(async move { projector.run(pending()).await });
        let position = self.sell("500006", "Norway", 3, 100).await?;
        self.projector.wait_until(position, PATIENCE).await?;
        runner.abort();
        drop(runner.await);
        self.sell("500007", "Norway", 3, 100).await?;

        self.clock.advance(LEASE + Duration::from_secs(1));
        if let Some(Progress { state: RunState::Dead { .. }, lag_events, .. }) = self.projector.progress().await? {
            self.say("")?;
            self.say(&format!("Whoever looks learns that the runner is dead, and {lag_events} events are behind."))?;
        }
        self.projector.catch_up().await?;
        self.say("The next one goes on where the rows end: they and the checkpoint are written in one transaction.")?;
        self.show_rows().await
    }

    async fn it_is_made_anew(&mut self) -> Done {
        self.scene("4. It is made anew")?;
        self.say("Where the code of a projection changes, its rows are made anew: from the first event, in tables of")?;
        self.say("their own, which take the place of the old ones in one moment. Readers notice nothing.")?;
        let (before, build) = (self.readers.rows().await?, self.build().await?);
        let (stop, mut stopped) = oneshot::channel::<()>();
        let readers = self.readers.clone();
        let reader = tokio::spawn(async move {
            let mut fewest = usize::MAX;
            while stopped.try_recv() == Err(oneshot::error::TryRecvError::Empty) {
                fewest = fewest.min(readers.rows().await?.len());
            }
            Ok::<_, sqlx::Error>(fewest)
        });
        self.projector.rebuild().await?;
        drop(stop);
        let fewest = timeout(PATIENCE, reader).await???;

        let (after, new_build) = (self.readers.rows().await?, self.build().await?);
        self.say("")?;
        self.say(&format!("shown before    build {build}, {} rows", before.len()))?;
        self.say(&format!("shown now       build {new_build}, {} rows", after.len()))?;
        self.say(&format!("seen meanwhile  never fewer than {fewest} rows"))?;
        self.say(&format!("the same rows   {}", if before == after { "yes" } else { "no" }))
    }
}

/// By default.
const LEASE: Duration = Duration::from_secs(30);

/// What the scenes are told with.
impl Story<'_> {
    fn scene(&mut self, title: &str) -> Done {
        Ok(write!(self.out, "\n{title}\n\n")?)
    }

    fn say(&mut self, text: &str) -> Done {
        Ok(writeln!(self.out, "{}", format!("   {text}").trim_end())?)
    }

    async fn sell(
        &mut self,
        invoice: &str,
        country: &str,
        day_of_month: u32,
        pence: i64,
    ) -> Result<Position, AnyError> {
        sell(&self.orders, invoice, country, day(day_of_month), Decimal::new(pence, 2)).await
    }

    async fn show_rows(&mut self) -> Done {
        self.say("")?;
        self.say("country         day         kind          orders  lines      amount")?;
        for (country, day, kind, orders, lines, millionths) in self.readers.rows().await? {
            let amount = grouped(&Money(amount_of(millionths)).to_string());
            self.say(&format!("{country:<16}{day:<12}{kind:<12}{orders:>8}{lines:>7}{amount:>12}"))?;
        }
        Ok(())
    }

    /// Which build of the projection's tables readers see.
    async fn build(&mut self) -> Result<u32, AnyError> {
        Ok(self.projector.progress().await?.map_or(0, |progress| progress.build))
    }
}

fn day(of_month: u32) -> NaiveDateTime {
    NaiveDate::from_ymd_opt(2010, 12, of_month).unwrap_or_default().into()
}
