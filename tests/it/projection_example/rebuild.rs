//! Rebuilding while orders come in, the projection runs, and somebody reads.

use std::{
    process::{Child, Command, Stdio},
    sync::Arc,
};

use sqlx::{Connection as _, SqliteConnection};
use tokio::sync::Notify;

use super::{catch_up, kill::position, projection, sums::rows_of};
use crate::{
    campaign,
    order_example::{
        book::Book,
        program::{Shop, summary_of, text},
    },
};

#[tokio::test(flavor = "multi_thread")]
async fn rebuilding_under_live_writes_never_shows_fewer_rows() {
    never_shows_fewer_rows(&Shop::on_file().await, campaign::sized(5)).await;
}

#[cfg(feature = "postgres")]
#[tokio::test(flavor = "multi_thread")]
async fn rebuilding_under_live_writes_never_shows_fewer_rows_on_a_server() {
    never_shows_fewer_rows(&Shop::on_server().await, campaign::sized(5)).await;
}

async fn never_shows_fewer_rows(shop: &Shop, rebuilds: u32) {
    let book = Book::of(400, 25);
    let file = shop.file("week.csv", &book.csv);
    shop.import(&file, &[]);
    catch_up(shop, &[]);
    let stop = Arc::new(Notify::new());
    let reader = tokio::spawn(read_until(Reader::connect(shop).await, Arc::clone(&stop)));

    // As many copies as fit into the time that the rebuilds take, and then it is killed.
    let writer = Killed(shop.importer(&file).args(["--repeat", "1000", "--workers", "2"]).spawn().unwrap());
    let runner = Killed(quiet(projection(shop, &["run"])).spawn().unwrap());
    let store = shop.store().await;
    for rebuild in 1..=rebuilds {
        let (events, rows) = (store.head().await.unwrap(), position(&*store).await);
        let output = projection(shop, &["rebuild"]).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        // Orders have come in meanwhile, and were projected.
        while store.head().await.unwrap() == events || position(&*store).await == rows {
            tokio::task::yield_now().await;
        }
        assert_eq!(build(shop).await, rebuild + 1);
    }
    drop((writer, runner));
    stop.notify_one();
    let looks = reader.await.unwrap();
    eprintln!("{looks} looks at the read model while it was rebuilt {rebuilds} times");
    assert!(looks >= 10 * u64::from(rebuilds), "only {looks} looks");

    // What was shown in the end is what the events lead to: nothing was left out on the way, or added twice.
    let kept = catch_up(shop, &[]);
    let rows = rows_of(shop).await;
    let rebuilt = summary_of(&projection(shop, &["rebuild", "--format", "json"]).output().unwrap());
    assert_eq!((kept, rows), (rebuilt, rows_of(shop).await));
}

/// Looks at the read model all the time, and makes sure that it never shrinks. Returns how often it has looked.
async fn read_until(mut reader: Reader, stop: Arc<Notify>) -> u64 {
    let (mut seen, mut looks) = ([0; 3], 0);
    let stopped = stop.notified();
    tokio::pin!(stopped);
    loop {
        let found = tokio::select! {
            biased;
            () = &mut stopped => return looks,
            found = reader.look() => found,
        };
        assert!(found.iter().zip(seen).all(|(now, before)| *now >= before), "saw {seen:?}, and then {found:?}");
        (seen, looks) = (found, looks + 1);
    }
}

/// Somebody with a connection of their own, who knows the view and nothing else.
enum Reader {
    Sqlite(SqliteConnection),
    #[cfg(feature = "postgres")]
    Postgres(sqlx::PgConnection),
}

impl Reader {
    async fn connect(shop: &Shop) -> Self {
        #[cfg(feature = "postgres")]
        if let Some(database) = shop.database() {
            return Self::Postgres(database.connection().await);
        }
        let url = format!("sqlite:{}", shop.path("orders.db").display());
        Self::Sqlite(SqliteConnection::connect(&url).await.unwrap())
    }

    /// Counts rows, orders and lines.
    async fn look(&mut self) -> [i64; 3] {
        const COUNT: &str = "SELECT COUNT(*), CAST(SUM(orders) AS BIGINT), CAST(SUM(lines) AS BIGINT) FROM sales";
        let (rows, orders, lines) = match self {
            Self::Sqlite(connection) => sqlx::query_as(COUNT).fetch_one(connection).await.unwrap(),
            #[cfg(feature = "postgres")]
            Self::Postgres(connection) => sqlx::query_as(COUNT).fetch_one(connection).await.unwrap(),
        };
        [rows, orders, lines]
    }
}

async fn build(shop: &Shop) -> u32 {
    let checkpoint = shop.store().await.checkpoint(&annals::Consumer::new("sales").unwrap()).await.unwrap();
    checkpoint.unwrap().build
}

/// A process that is killed at the end of its scope, so also where a test fails.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Without anybody who reads what it says.
fn quiet(mut command: Command) -> Command {
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command
}
