//! The same work in a store with few events and in one with a thousand times as many.

use std::fmt;

use annals_contest::{Cell, Engine, Place, Work, median};
use anyhow::{Context as _, Result, bail};
use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;
use tempfile::TempDir;

use crate::{
    apart::{self, Came},
    args::Args,
    contender::{Annals, AnnalsOn},
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

/// One piece of work.
#[derive(Debug, Serialize)]
struct GrownRow {
    contender: String,
    work: Work,
    /// Commands or loads in a second, in the small store and in the grown one, round by round.
    rounds: Vec<[f64; 2]>,
}

/// A store that is filled, and what removes it.
struct Store {
    place: Place,
    orders: u64,
    _directory: Option<TempDir>,
    database: Option<String>,
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
    let mut stores = Vec::new();
    for events in [args.grown / TIMES, args.grown] {
        eprintln!("{engine}: a store of {events} events is filled");
        stores.push(filled(args, engine, log::orders_of(events), server.as_deref_mut()).await?);
    }
    let mut rows = rows(engine);
    for round in 0..args.rounds {
        for row in &mut rows {
            eprintln!("round {} of {}: {engine}, grown, {}", round + 1, args.rounds, row.work);
            let mut rates = [0.0; 2];
            // Whoever was first is last the next time.
            let order = if round % 2 == 0 { [0, 1] } else { [1, 0] };
            for at in order {
                rates[at] = row.measure(&stores[at], round, args.commands.min(MOST_COMMANDS)).await?;
            }
            row.rounds.push(rates);
        }
    }
    let events = [stores[0].orders * EVENTS_PER_ORDER, stores[1].orders * EVENTS_PER_ORDER];
    for store in stores {
        if let (Some(name), Some(server)) = (store.database, server.as_deref_mut()) {
            server.remove(&name).await?;
        }
    }
    Ok(vec![GrownGroup { engine, events, rows }])
}

async fn filled(args: &Args, engine: Engine, orders: u64, server: Option<&mut RunServer>) -> Result<Store> {
    let store = match engine {
        Engine::Sqlite | Engine::Own => {
            let directory = tempfile::tempdir_in(args.directory())?;
            let place = Place::Directory(directory.path().to_owned());
            Store { place, orders, _directory: Some(directory), database: None }
        }
        Engine::Postgres => {
            let (name, url) = server.context("there is no server")?.create().await?;
            Store { place: Place::Url(url), orders, _directory: None, database: Some(name) }
        }
    };
    log::fill_apart(engine, &store.place, orders).await?;
    Ok(store)
}

fn rows(engine: Engine) -> Vec<GrownRow> {
    use annals_contest::Contender as _;

    let database = if engine == Engine::Postgres { AnnalsOn::Postgres } else { AnnalsOn::Sqlite };
    let plain = Annals::on(database);
    let cached = Annals { cache: true, ..plain };
    let row = |annals: Annals, work| GrownRow { contender: annals.name(), work, rounds: Vec::new() };
    vec![
        row(plain, Work::Lifecycle { tasks: 1 }),
        row(plain, Work::Lifecycle { tasks: 64 }),
        row(cached, Work::Lifecycle { tasks: 64 }),
        // As many orders as the store has: filled in with the cell.
        row(plain, Work::Among { orders: 0 }),
    ]
}

impl GrownRow {
    async fn measure(&self, store: &Store, round: u32, commands: u64) -> Result<f64> {
        let work = match self.work {
            Work::Among { .. } => Work::Among { orders: store.orders },
            work => work,
        };
        // Each measurement has orders of its own, and none that the store was filled with.
        let part = 1 + 2 * u64::from(round) + u64::from(self.contender != "annals");
        let part = if matches!(work, Work::Lifecycle { tasks: 1 }) { part + 1_000 } else { part };
        let (contender, place) = (self.contender.clone(), store.place.clone());
        let engine = Some(if matches!(place, Place::Url(_)) { Engine::Postgres } else { Engine::Sqlite });
        let cell = Cell { contender, engine, work, commands, place, part };
        match apart::measure(&std::env::current_exe()?, &cell).await? {
            Came::Measured(measured) => Ok(measured.measures.per_second),
            Came::Answered(_) => bail!("a figure was expected"),
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
            let what = match row.work {
                Work::Among { .. } => "loads of orders here and there, 1 task".to_owned(),
                work => work.to_string(),
            };
            table.add_row([
                row.contender.clone(),
                what,
                format!("{:.0}", of(0)),
                format!("{:.0}", of(1)),
                format!("{:.2}", median(ratios).unwrap_or_default()),
                each.join(" "),
            ]);
        }
        write!(f, "\n{}: a store that has grown, rates a second\n{table}\n", self.engine)
    }
}
