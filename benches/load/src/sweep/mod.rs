//! How long claims take while what has expired is swept away, and while it is left alone.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use annals::{Error, ResponseStore, Retention, Sweeper, store::Expiring};
use annals_contest::{Engine, Place, median, percentile};
use anyhow::{Result, ensure};
use async_trait::async_trait;
use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;
use tokio::sync::oneshot;

use self::{
    claims::{Pace, TASKS},
    fill::Store,
};
use crate::{args::Args, fresh::Fresh, server::RunServer};

mod claims;
mod fill;

/// How long claims are measured at a time, swept and not.
const MEASURED_FOR: Duration = Duration::from_secs(4);

/// Before the first of them.
const WARM_UP: Duration = Duration::from_secs(2);

/// A pace that leaves the database room, and all that it can do.
const PACES: [Pace; 2] = [Pace::Steady { per_second: 200 }, Pace::Full];

/// What was measured on one database.
#[derive(Debug, Serialize)]
pub(crate) struct SweepGroup {
    engine: Engine,
    /// How many answers had expired at the beginning.
    expired: u64,
    /// How many of them were swept away, in all.
    swept: u64,
    rows: Vec<Row>,
}

/// Claims at one pace, round by round.
#[derive(Debug, Serialize)]
struct Row {
    pace: Pace,
    left_alone: Vec<Figures>,
    swept: Vec<Figures>,
}

/// Microseconds, and how much was done in a second.
#[derive(Debug, Clone, Copy, Serialize)]
struct Figures {
    claims_per_second: f64,
    p50_us: f64,
    p99_us: f64,
    p999_us: f64,
    max_us: f64,
    swept_per_second: f64,
}

/// A store whose swept rows are counted as they go.
#[derive(Debug, Clone)]
struct Counted {
    inner: Arc<dyn Retention>,
    rows: Arc<AtomicU64>,
}

#[async_trait]
impl Retention for Counted {
    async fn sweep(&self, what: Expiring, limit: u32) -> Result<u64, Error> {
        let gone = self.inner.sweep(what, limit).await?;
        self.rows.fetch_add(gone, Ordering::Relaxed);
        Ok(gone)
    }
}

/// Measures on a database of its own: at each pace in turn swept and not, round by round.
pub(crate) async fn measure(
    args: &Args,
    engine: Engine,
    mut server: Option<&mut RunServer>,
) -> Result<Vec<SweepGroup>> {
    if !args.wants_sweep() {
        return Ok(Vec::new());
    }
    eprintln!("{engine}: {} answers expire", args.expired);
    let fresh = Fresh::make(args, engine, server.as_deref_mut()).await?;
    let measured = measure_at(&fresh.place, engine, args).await;
    fresh.remove(server).await?;
    Ok(vec![measured?])
}

async fn measure_at(place: &Place, engine: Engine, args: &Args) -> Result<SweepGroup> {
    let store = Store::filled(place, args.expired).await?;
    let (responses, retention): (Arc<dyn ResponseStore>, Arc<dyn Retention>) = match &store {
        Store::Sqlite(store) => (Arc::new(store.clone()), Arc::new(store.clone())),
        Store::Postgres(store) => (Arc::new(store.clone()), Arc::new(store.clone())),
    };
    let counted = Counted { inner: retention, rows: Arc::default() };
    claims::run(&responses, Pace::Full, WARM_UP).await?;
    let mut rows = PACES.map(|pace| Row { pace, left_alone: Vec::new(), swept: Vec::new() });
    let mut swept = 0;
    for round in 0..args.rounds {
        eprintln!("round {} of {}: {engine}, claims beside a sweeper", round + 1, args.rounds);
        for row in &mut rows {
            row.left_alone.push(figures(&responses, row.pace, &counted).await?);
            let (end, ended) = oneshot::channel::<()>();
            // With its defaults. It comes back at once, should it ever be done.
            let sweeper = Sweeper::new(&counted).every(Duration::from_millis(10));
            let sweeping = tokio::spawn(async move { sweeper.run(async { drop(ended.await) }).await });
            let figures = figures(&responses, row.pace, &counted).await?;
            drop(end);
            sweeping.await??;
            swept = counted.rows.load(Ordering::Relaxed);
            ensure!(swept < args.expired, "all {} rows were swept too soon: more are needed, --expired", args.expired);
            row.swept.push(figures);
        }
    }
    store.close().await;
    Ok(SweepGroup { engine, expired: args.expired, swept, rows: rows.into() })
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
async fn figures(store: &Arc<dyn ResponseStore>, pace: Pace, counted: &Counted) -> Result<Figures> {
    let rows = counted.rows.load(Ordering::Relaxed);
    let began = Instant::now();
    let mut latencies = claims::run(store, pace, MEASURED_FOR).await?;
    let seconds = began.elapsed().as_secs_f64();
    let swept = counted.rows.load(Ordering::Relaxed) - rows;
    latencies.sort_unstable();
    let at = |share| percentile(&latencies, share) as f64 / 1_000.0;
    Ok(Figures {
        claims_per_second: latencies.len() as f64 / seconds,
        p50_us: at(0.5),
        p99_us: at(0.99),
        p999_us: at(0.999),
        max_us: at(1.0),
        swept_per_second: swept as f64 / seconds,
    })
}

impl fmt::Display for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Steady { per_second } => write!(f, "{per_second} a second"),
            Self::Full => f.write_str("as fast as they can"),
        }
    }
}

impl fmt::Display for SweepGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_header([
            "claims",
            "expired rows",
            "claims/s",
            "p50 µs",
            "p99 µs",
            "p99.9 µs",
            "max µs",
            "p99 ratio",
            "rows/s",
        ]);
        for column in table.column_iter_mut().skip(2) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        for row in &self.rows {
            let ratios = row.swept.iter().zip(&row.left_alone).map(|(swept, left)| swept.p99_us / left.p99_us);
            let ratio = median(ratios).unwrap_or_default();
            for (what, rounds, ratio) in [("left alone", &row.left_alone, 1.0), ("swept", &row.swept, ratio)] {
                let of = |measure: fn(&Figures) -> f64| {
                    format!("{:.0}", median(rounds.iter().map(measure)).unwrap_or_default())
                };
                table.add_row([
                    row.pace.to_string(),
                    what.to_owned(),
                    of(|figures| figures.claims_per_second),
                    of(|figures| figures.p50_us),
                    of(|figures| figures.p99_us),
                    of(|figures| figures.p999_us),
                    of(|figures| figures.max_us),
                    format!("{ratio:.2}"),
                    of(|figures| figures.swept_per_second),
                ]);
            }
        }
        let Self { engine, expired, swept, .. } = self;
        write!(
            f,
            "\n{engine}: claims and completions, {TASKS} tasks, beside {expired} expired answers; {swept} were swept\n"
        )?;
        writeln!(f, "{table}")
    }
}
