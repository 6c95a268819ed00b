//! An import, against bare multi-row INSERTs of the same rows into the same tables.

use std::{
    fmt,
    fs::File,
    io::{BufWriter, Write as _},
    path::Path,
    time::Instant,
};

use annals::{
    EventStoreExt as _, LogQuery, PostgresStore, RecordedEvent, SqliteStore,
    store::TransferStore,
    transfer::{Export, Import},
};
use annals_contest::{Engine, Place, median};
use anyhow::{Result, ensure};
use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;

use crate::{args::Args, fresh::Fresh, log, server::RunServer};

mod raw;

/// What was measured on one database.
#[derive(Debug, Serialize)]
pub(crate) struct ImportGroup {
    engine: Engine,
    events: u64,
    /// Round by round.
    rounds: Vec<Round>,
}

/// Events a second.
#[derive(Debug, Clone, Copy, Serialize)]
struct Round {
    raw: f64,
    imported: f64,
    /// The same file once more: nothing is new.
    again: f64,
    exported: f64,
}

/// Measures both in turn, each on a fresh database.
///
/// The rows of the bare INSERTs lie ready in memory; the import reads its file, checks every line and compares what is there.
pub(crate) async fn measure(
    args: &Args,
    engine: Engine,
    mut server: Option<&mut RunServer>,
) -> Result<Vec<ImportGroup>> {
    let mut groups = Vec::new();
    for orders in args.imported_orders() {
        let directory = tempfile::tempdir_in(args.directory())?;
        let (file, rows) = made(directory.path(), orders).await?;
        let mut rounds = Vec::new();
        for round in 0..args.rounds {
            eprintln!("round {} of {}: {engine}, an import of {} events", round + 1, args.rounds, rows.len());
            let empty = fresh(args, engine, server.as_deref_mut()).await?;
            let raw = raw::insert(&empty.place, &rows).await;
            empty.remove(server.as_deref_mut()).await?;
            let empty = fresh(args, engine, server.as_deref_mut()).await?;
            let moved = import(&empty.place, &file, rows.len()).await;
            empty.remove(server.as_deref_mut()).await?;
            let (raw, [imported, again, exported]) = (raw?, moved?);
            rounds.push(Round { raw, imported, again, exported });
        }
        groups.push(ImportGroup { engine, events: rows.len() as u64, rounds });
    }
    Ok(groups)
}

/// A place with an empty store in it.
async fn fresh(args: &Args, engine: Engine, server: Option<&mut RunServer>) -> Result<Fresh> {
    let fresh = Fresh::make(args, engine, server).await?;
    Store::open(&fresh.place).await?.close().await;
    Ok(fresh)
}

/// The database within its directory.
const FILE: &str = "import.db";

enum Store {
    Sqlite(SqliteStore),
    Postgres(PostgresStore),
}

impl Store {
    async fn open(place: &Place) -> Result<Self> {
        Ok(match place {
            Place::Directory(directory) => Self::Sqlite(SqliteStore::open(directory.join(FILE)).await?),
            Place::Url(url) => Self::Postgres(PostgresStore::connect(url).await?),
        })
    }

    fn transfer(&self) -> &dyn TransferStore {
        match self {
            Self::Sqlite(store) => store,
            Self::Postgres(store) => store,
        }
    }

    async fn close(&self) {
        match self {
            Self::Sqlite(store) => store.close().await,
            Self::Postgres(store) => store.close().await,
        }
    }
}

/// Makes an export of so many orders, and gives its rows as well.
async fn made(directory: &Path, orders: u64) -> Result<(std::path::PathBuf, Vec<RecordedEvent>)> {
    let place = Place::Directory(directory.to_owned());
    log::fill_log(&place, 0..orders).await?;
    let store = SqliteStore::open(directory.join(log::LOG_FILE)).await?;
    let path = directory.join("orders.jsonl");
    let mut file = BufWriter::new(File::create(&path)?);
    Export::new(&store).run(&mut file).await?;
    let rows = store.collect_log(&LogQuery::all()).await?;
    store.close().await;
    Ok((path, rows))
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
async fn import(place: &Place, file: &Path, rows: usize) -> Result<[f64; 3]> {
    let store = Store::open(place).await?;
    let began = Instant::now();
    let imported = Import::new(store.transfer()).run(File::open(file)?).await?;
    let first = rows as f64 / began.elapsed().as_secs_f64();
    ensure!(imported.new.events == rows as u64, "{} events were imported", imported.new.events);
    let began = Instant::now();
    let again = Import::new(store.transfer()).run(File::open(file)?).await?;
    let second = rows as f64 / began.elapsed().as_secs_f64();
    ensure!(again.present.events == rows as u64, "{} events were there", again.present.events);
    let began = Instant::now();
    let mut out = BufWriter::new(File::create(file.with_extension("again"))?);
    Export::new(store.transfer()).run(&mut out).await?;
    out.flush()?;
    let exported = rows as f64 / began.elapsed().as_secs_f64();
    store.close().await;
    Ok([first, second, exported])
}

impl fmt::Display for ImportGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_header(["what", "events/s", "ratio", "rounds"]);
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        let mut row = |what: &str, of: fn(&Round) -> f64| {
            let rate = median(self.rounds.iter().map(of)).unwrap_or_default();
            let ratios: Vec<_> = self.rounds.iter().map(|round| of(round) / round.raw).collect();
            let shown: Vec<_> = ratios.iter().map(|ratio| format!("{ratio:.2}")).collect();
            let ratio = median(ratios).unwrap_or_default();
            table.add_row([what.to_owned(), format!("{rate:.0}"), format!("{ratio:.2}"), shown.join(" ")]);
        };
        row("multi-row INSERT, 1,000 rows a commit", |round| round.raw);
        row("import", |round| round.imported);
        row("import of what is there", |round| round.again);
        row("export", |round| round.exported);
        write!(f, "\n{}: an import of {} events\n{table}\n", self.engine, self.events)
    }
}
