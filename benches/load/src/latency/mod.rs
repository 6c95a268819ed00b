//! From the commit of an event to the handler of a subscription, at low load: within a process and across two.
//!
//! And what a subscription that has nothing to do asks of its database.

use std::{
    fmt,
    time::{Duration, Instant, SystemTime},
};

use annals_contest::{Engine, Place, percentile};
use anyhow::{Context as _, Result};
use serde::Serialize;
use sqlx::{Connection as _, PgConnection};
use tokio::time::{sleep, timeout};

pub(crate) use self::listener::listen;
use self::{listener::Listener, store::Store};
use crate::{args::Args, fresh::Fresh, server::RunServer};

mod listener;
mod store;

/// Events a second: so few that none waits for another.
const EVENTS_PER_SECOND: u64 = 20;

/// Pauses between them lie between none and this one, in microseconds.
const LONGEST_PAUSE_US: u64 = 2_000_000 / EVENTS_PER_SECOND;

/// As many events at the most, whatever `--commands` says.
const MOST_EVENTS: u64 = 2_000;

/// As many before the clock starts.
const WARM_UP_EVENTS: u64 = 20;

/// Connections that have gone idle report what they did within ten seconds, and pauses between looks have grown by then.
const SETTLED_AFTER: Duration = Duration::from_secs(15);

/// So long an idle subscription is watched.
const IDLE_FOR: Duration = Duration::from_secs(10);

/// The longest that an event is waited for.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// How long events took to arrive, on one database and by one way.
#[derive(Debug, Serialize)]
pub(crate) struct Latencies {
    engine: Engine,
    /// The subscription runs in a process of its own.
    is_apart: bool,
    events: u64,
    /// From before the call that appends.
    since_call: Figures,
    /// From the answer; 0 where the handler was told before it.
    since_answer: Figures,
    /// Transactions a second of a subscription that has nothing to do, where a server counts them.
    idle_transactions_per_second: Option<f64>,
}

/// Microseconds.
#[derive(Debug, Serialize)]
struct Figures {
    p50: u64,
    p90: u64,
    p99: u64,
    max: u64,
}

impl Figures {
    fn of(mut nanoseconds: Vec<u64>) -> Self {
        nanoseconds.sort_unstable();
        let at = |share| percentile(&nanoseconds, share) / 1_000;
        Self { p50: at(0.5), p90: at(0.9), p99: at(0.99), max: at(1.0) }
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p50 {} µs, p90 {} µs, p99 {} µs, max {} µs", self.p50, self.p90, self.p99, self.max)
    }
}

impl fmt::Display for Latencies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let way = if self.is_apart { "across two processes" } else { "within a process" };
        let Self { engine, events, .. } = self;
        writeln!(
            f,
            "\n{engine}: from an append to a subscription's handler, {way}, {events} events, {EVENTS_PER_SECOND} a second"
        )?;
        writeln!(f, "  since the call:   {}", self.since_call)?;
        writeln!(f, "  since its answer: {}", self.since_answer)?;
        match self.idle_transactions_per_second {
            Some(transactions) => writeln!(f, "  idle: {transactions:.1} transactions a second"),
            None => writeln!(f, "  idle: a look every 100 ms, which is the polling interval"),
        }
    }
}

/// Measures both ways, each on a database of its own.
pub(crate) async fn measure(args: &Args, engine: Engine, mut server: Option<&mut RunServer>) -> Result<Vec<Latencies>> {
    let mut measured = Vec::new();
    for is_apart in [false, true].into_iter().filter(|_| args.wants_latency()) {
        eprintln!("{engine}: latency of a subscription, {}", if is_apart { "two processes" } else { "one process" });
        let run = Run { engine, is_apart, events: args.commands.min(MOST_EVENTS) };
        let fresh = Fresh::make(args, engine, server.as_deref_mut()).await?;
        let counters = server.as_deref().map(RunServer::url).zip(fresh.database());
        let latencies = run.measure(&fresh.place, counters).await;
        fresh.remove(server.as_deref_mut()).await?;
        measured.push(latencies?);
    }
    Ok(measured)
}

/// One measurement.
struct Run {
    engine: Engine,
    is_apart: bool,
    events: u64,
}

impl Run {
    /// Measures; the server's counters are asked for the database of that name.
    async fn measure(self, place: &Place, counters: Option<(&str, &str)>) -> Result<Latencies> {
        let Self { engine, is_apart, events } = self;
        let store = Store::open(place).await?;
        let mut listener = Listener::start(&store, place, is_apart).await?;
        let (mut since_call, mut since_answer) = (Vec::new(), Vec::new());
        for number in 0..WARM_UP_EVENTS + events {
            // As evenly as can be, and never in step with those who look at intervals.
            sleep(Duration::from_micros(number * 61_803 % LONGEST_PAUSE_US)).await;
            let called = now();
            store.append(number).await?;
            let answered = now();
            let told = timeout(LONGEST_WAIT, listener.next()).await.context("an event was not told")??;
            if number >= WARM_UP_EVENTS {
                since_call.push(told.saturating_sub(called));
                since_answer.push(told.saturating_sub(answered));
            }
        }
        let idle_transactions_per_second = match counters {
            Some((server, name)) => Some(idle_transactions(server, name).await?),
            None => None,
        };
        listener.end().await?;
        store.close().await;
        let (since_call, since_answer) = (Figures::of(since_call), Figures::of(since_answer));
        Ok(Latencies { engine, is_apart, events, since_call, since_answer, idle_transactions_per_second })
    }
}

/// Nanoseconds of the machine's clock, which its processes share.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

const READ_TRANSACTIONS: &str = "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = $1";

/// Transactions a second in a database, asked from outside it.
async fn idle_transactions(server: &str, name: &str) -> Result<f64> {
    let mut connection = PgConnection::connect(server).await?;
    sleep(SETTLED_AFTER).await;
    let mut counts = [0_i64; 2];
    let began = Instant::now();
    counts[0] = sqlx::query_scalar(READ_TRANSACTIONS).bind(name).fetch_one(&mut connection).await?;
    sleep(IDLE_FOR).await;
    counts[1] = sqlx::query_scalar(READ_TRANSACTIONS).bind(name).fetch_one(&mut connection).await?;
    let seconds = began.elapsed().as_secs_f64();
    connection.close().await?;
    Ok(f64::from(u32::try_from(counts[1] - counts[0])?) / seconds)
}
