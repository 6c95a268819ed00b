//! The same work in a store with few events and in one with a thousand times as many.

use std::fmt;

use annals_contest::{Cell, Contender as _, Engine, Place, Work, median};
use anyhow::{Context as _, Result, bail};
use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;

use crate::{
    apart::{self, Came},
    args::Args,
    contender::Annals,
    fresh::Fresh,
    log::{self, EVENTS_PER_ORDER},
    server::RunServer,
};

/// How many times as many events the grown store has.
const TIMES: u64 = 1_000;

/// The most commands of one measurement: the small store is to stay small.
const MOST_COMMANDS: u64 = 10_000;

/// What was measured on one database.
#[derive(Debug, Serialize)]
pub(crate) struct GrownGroup {
    engine: Engine,
    /// In the small store and in the grown one, before anything was measured.
    events: [u64; 2],
    rows: Vec<GrownRow>,
}

/// What is done in both.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "kebab-case")]
enum GrownWork {
    Lifecycle { tasks: u64 },
    Loads,
}

/// One piece of work.
#[derive(Debug, Serialize)]
struct GrownRow {
    contender: String,
    work: GrownWork,
    /// Commands or loads in a second, in the small store and in the grown one, round by round.
    rounds: Vec<[f64; 2]>,
}

/// Fills both, and measures them in turn.
pub(crate) async fn measure(
    args: &Args,
    engine: Engine,
    mut server: Option<&mut RunServer>,
) -> Result<Vec<GrownGroup>> {
    if !args.wants_grown() {
        return Ok(Vec::new());
    }
    let small = Fresh::make(args, engine, server.as_deref_mut()).await?;
    let large = Fresh::make(args, engine, server.as_deref_mut()).await?;
    let group = measure_at(args, engine, [&small.place, &large.place]).await;
    small.remove(server.as_deref_mut()).await?;
    large.remove(server).await?;
    Ok(vec![group?])
}

async fn measure_at(args: &Args, engine: Engine, places: [&Place; 2]) -> Result<GrownGroup> {
    let orders = [args.grown / TIMES, args.grown].map(log::orders_of);
    let events = orders.map(|orders| orders * EVENTS_PER_ORDER);
    for ((place, orders), events) in places.into_iter().zip(orders).zip(events) {
        eprintln!("{engine}: a store of {events} events is filled");
        log::fill_apart(engine, place, orders).await?;
    }
    let plain = Annals::on(engine);
    let cached = Annals { cache: true, ..plain };
    let row = |annals: Annals, work| GrownRow { contender: annals.name(), work, rounds: Vec::new() };
    let mut rows = vec![
        row(plain, GrownWork::Lifecycle { tasks: 1 }),
        row(plain, GrownWork::Lifecycle { tasks: 64 }),
        row(cached, GrownWork::Lifecycle { tasks: 64 }),
        row(plain, GrownWork::Loads),
    ];
    // Each measurement has orders of its own, and none that the stores were filled with.
    let mut parts = 1..;
    for round in 0..args.rounds {
        for row in &mut rows {
            eprintln!("round {} of {}: {engine}, grown, {}", round + 1, args.rounds, row.work);
            let mut rates = [0.0; 2];
            let part = parts.next().context("there are parts enough")?;
            // Whoever was first is last the next time.
            let order = if round % 2 == 0 { [0, 1] } else { [1, 0] };
            for at in order {
                let (contender, place) = (row.contender.clone(), places[at].clone());
                let (work, commands) = (row.work.among(orders[at]), args.commands.min(MOST_COMMANDS));
                rates[at] = rate(&Cell { contender, engine: Some(engine), work, commands, place, part }).await?;
            }
            row.rounds.push(rates);
        }
    }
    Ok(GrownGroup { engine, events, rows })
}

async fn rate(cell: &Cell) -> Result<f64> {
    match apart::measure(&std::env::current_exe()?, cell).await? {
        Came::Measured(measured) => Ok(measured.measures.per_second),
        Came::Answered(_) => bail!("a figure was expected"),
    }
}

impl GrownWork {
    /// The work in a store with so many orders.
    const fn among(self, orders: u64) -> Work {
        match self {
            Self::Lifecycle { tasks } => Work::Lifecycle { tasks },
            Self::Loads => Work::Among { orders },
        }
    }
}

impl fmt::Display for GrownWork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lifecycle { tasks } => Work::Lifecycle { tasks: *tasks }.fmt(f),
            Self::Loads => f.write_str("loads of orders here and there, 1 task"),
        }
    }
}

impl fmt::Display for GrownGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [small, large] = self.events;
        let mut table = Table::new();
        let header = ["contender", "work", &format!("at {small}"), &format!("at {large}"), "ratio", "rounds"];
        table.load_style(presets::NOTHING).set_header(header);
        for column in table.column_iter_mut().skip(2) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        for row in &self.rows {
            let of = |at: usize| median(row.rounds.iter().map(|rates| rates[at])).unwrap_or_default();
            let ratios: Vec<f64> = row.rounds.iter().map(|[small, large]| large / small).collect();
            let each: Vec<_> = ratios.iter().map(|ratio| format!("{ratio:.2}")).collect();
            table.add_row([
                row.contender.clone(),
                row.work.to_string(),
                format!("{:.0}", of(0)),
                format!("{:.0}", of(1)),
                format!("{:.2}", median(ratios).unwrap_or_default()),
                each.join(" "),
            ]);
        }
        write!(f, "\n{}: a store that has grown, rates a second\n{table}\n", self.engine)
    }
}
