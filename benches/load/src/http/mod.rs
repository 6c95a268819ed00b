//! Requests over HTTP, with the idempotency layer and without it.

use std::fmt;

use annals_contest::{Engine, median};
use anyhow::Result;
use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;

pub(crate) use self::cell::HttpCell;
use self::{cell::HttpMeasures, way::Way};
use crate::{args::Args, fresh::Fresh, redis_server, server::RunServer};

mod cell;
mod charge;
mod client;
mod counted;
mod service;
mod way;

/// As many clients at the most, whatever `--tasks` says: each has a connection.
const MOST_CLIENTS: u64 = 64;

/// The Redis of a run.
pub(super) enum RunRedis {
    /// Ends with this value.
    Started(redis_server::Server),
    /// Why there is none.
    Missing(String),
}

/// All ways on one database.
#[derive(Debug, Serialize)]
pub(crate) struct HttpGroup {
    engine: Engine,
    rows: Vec<Row>,
    /// What was not measured, and why.
    abstentions: Vec<String>,
}

/// One way with so many clients.
#[derive(Debug, Serialize)]
struct Row {
    way: Way,
    tasks: u64,
    /// Round by round.
    rounds: Vec<HttpMeasures>,
}

/// Measures round by round: each runs every way in turn.
pub(crate) async fn measure(args: &Args, engine: Engine, mut server: Option<&mut RunServer>) -> Result<Vec<HttpGroup>> {
    let clients = args.http_clients(MOST_CLIENTS);
    if clients.is_empty() {
        return Ok(Vec::new());
    }
    let redis = RunRedis::start();
    let url = redis.url();
    let mut group = HttpGroup::of(engine, &clients, &redis);
    for round in 0..args.rounds {
        eprintln!("round {} of {}: {engine}, requests over HTTP", round + 1, args.rounds);
        for row in &mut group.rows {
            let fresh = Fresh::make(args, engine, server.as_deref_mut()).await?;
            let place = fresh.place.clone();
            let cell = HttpCell { way: row.way, tasks: row.tasks, place, redis: url.clone() };
            let measured = cell.measure_apart().await;
            fresh.remove(server.as_deref_mut()).await?;
            row.rounds.push(measured?);
        }
    }
    drop(redis);
    Ok(vec![group])
}

impl HttpGroup {
    /// All ways with so many clients, at which nothing was measured yet.
    fn of(engine: Engine, clients: &[u64], redis: &RunRedis) -> Self {
        let mut group = Self { engine, rows: Vec::new(), abstentions: Vec::new() };
        for way in Way::ALL {
            group.abstentions.extend(way.abstains(redis).map(|reason| format!("{way}: {reason}")));
        }
        for tasks in clients {
            let ways = Way::ALL.into_iter().filter(|way| way.abstains(redis).is_none());
            group.rows.extend(ways.map(|way| Row { way, tasks: *tasks, rounds: Vec::new() }));
        }
        group
    }
}

impl RunRedis {
    fn start() -> Self {
        match redis_server::program::Search::here().find() {
            Ok(_) => Self::Started(redis_server::Server::start()),
            Err(reason) => Self::Missing(reason),
        }
    }

    fn url(&self) -> Option<String> {
        match self {
            Self::Started(server) => Some(server.url()),
            Self::Missing(_) => None,
        }
    }
}

impl Row {
    fn median(&self, measure: impl Fn(&HttpMeasures) -> f64) -> f64 {
        median(self.rounds.iter().map(measure)).unwrap_or_default()
    }

    /// Against another row, round by round.
    fn ratio(&self, other: &Self, measure: impl Fn(&HttpMeasures) -> f64) -> f64 {
        let ratios = self.rounds.iter().zip(&other.rounds).map(|(this, other)| measure(this) / measure(other));
        median(ratios).unwrap_or_default()
    }
}

impl fmt::Display for HttpGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_header([
            "clients",
            "way",
            "requests/s",
            "ratio",
            "p50 µs",
            "p99 µs",
            "p99 ratio",
            "claims",
            "completions",
            "others",
        ]);
        for (number, column) in table.column_iter_mut().enumerate() {
            if number != 1 {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        for row in &self.rows {
            let Some(first) = self.rows.iter().find(|first| first.tasks == row.tasks) else { continue };
            let call = |number: usize| format!("{:.2}", row.median(|round| round.calls[number]));
            table.add_row([
                row.tasks.to_string(),
                row.way.to_string(),
                format!("{:.0}", row.median(|round| round.per_second)),
                format!("{:.2}", row.ratio(first, |round| round.per_second)),
                format!("{:.0}", row.median(|round| round.p50_us)),
                format!("{:.0}", row.median(|round| round.p99_us)),
                format!("{:.2}", row.ratio(first, |round| round.p99_us)),
                call(0),
                call(1),
                call(2),
            ]);
        }
        write!(
            f,
            "\n{}: requests over HTTP, one keyed command each; what each asks the database about answers\n",
            self.engine
        )?;
        writeln!(f, "{table}")?;
        self.abstentions.iter().try_for_each(|reason| writeln!(f, " – {reason}"))
    }
}
