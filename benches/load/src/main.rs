//! The same work on annals, on hand-written SQL and on bare INSERTs, in one table.
//!
//! ```text
//! cargo run --release --manifest-path benches/load/Cargo.toml -- --tasks 1,64 --rounds 3
//! ```

use anyhow::{Context as _, Result};
use clap::Parser as _;

use crate::{
    args::{Args, Format},
    cell::Cell,
    conditions::Conditions,
    http::HttpCell,
    place::{Engine, Place},
    report::{Group, Report},
    server::RunServer,
};

mod args;
mod cell;
mod conditions;
mod contender;
mod http;
mod import;
mod latency;
mod log;
mod order;
mod place;
#[path = "../../../tests/postgres_server/mod.rs"]
#[allow(missing_docs, clippy::missing_panics_doc, clippy::missing_errors_doc, reason = "a part of the tests")]
mod postgres_server;
#[path = "../../../tests/redis_server/mod.rs"]
#[allow(missing_docs, clippy::missing_panics_doc, clippy::missing_errors_doc, reason = "a part of the tests")]
mod redis_server;
mod report;
mod server;
mod statistics;
mod sweep;
mod table;
mod work;

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    if let Some(cell) = &args.cell {
        let cell: Cell = serde_json::from_str(cell).context("a cell is JSON")?;
        println!("{}", serde_json::to_string(&cell.measure().await?)?);
        return Ok(());
    }
    if let Some(step) = &args.log_step {
        let step: log::Step = serde_json::from_str(step).context("a step is JSON")?;
        println!("{}", step.run().await?);
        return Ok(());
    }
    if let Some(cell) = &args.http_cell {
        let cell: HttpCell = serde_json::from_str(cell).context("a cell is JSON")?;
        println!("{}", serde_json::to_string(&cell.measure().await?)?);
        return Ok(());
    }
    if let Some(place) = &args.listen {
        return latency::listen(&serde_json::from_str(place).context("a place is JSON")?).await;
    }
    let report = run(&args).await?;
    match args.format {
        Format::Text => print!("{report}"),
        Format::Json => println!("{}", serde_json::to_string_pretty(&report)?),
    }
    Ok(())
}

/// Measures round by round: each runs every contender in turn, so that what disturbs the machine disturbs them all.
async fn run(args: &Args) -> Result<Report> {
    let mut server = None;
    if args.engines().contains(&Engine::Postgres) {
        server = Some(RunServer::of(args.database_url.as_deref()).await?);
    }
    let conditions = Conditions::of(&args.directory(), server.as_ref()).await?;
    let mut groups = Vec::new();
    for engine in args.engines() {
        groups.extend(args.works().into_iter().map(|work| Group::of(*engine, work, |contender| args.wants(contender))));
    }
    for round in 0..args.rounds {
        for group in &mut groups {
            eprintln!("round {} of {}: {}, {}", round + 1, args.rounds, group.engine, group.work);
            measure(group, args, server.as_mut()).await?;
        }
    }
    groups.iter_mut().for_each(Group::sum_up);
    let mut logs = Vec::new();
    for engine in args.engines() {
        logs.extend(log::measure(args, *engine, server.as_mut()).await?);
    }
    let mut latencies = Vec::new();
    for engine in args.engines() {
        latencies.extend(latency::measure(args, *engine, server.as_mut()).await?);
    }
    let mut requests = Vec::new();
    for engine in args.engines() {
        requests.extend(http::measure(args, *engine, server.as_mut()).await?);
    }
    let mut sweeps = Vec::new();
    for engine in args.engines() {
        sweeps.extend(sweep::measure(args, *engine, server.as_mut()).await?);
    }
    let mut imports = Vec::new();
    for engine in args.engines() {
        imports.extend(import::measure(args, *engine, server.as_mut()).await?);
    }
    let (rounds, commands) = (args.rounds, args.commands);
    Ok(Report { conditions, rounds, commands, groups, logs, latencies, requests, sweeps, imports })
}

async fn measure(group: &mut Group, args: &Args, mut server: Option<&mut RunServer>) -> Result<()> {
    let (engine, work) = (group.engine, group.work);
    for row in group.rows.iter_mut().filter(|row| row.abstains.is_none()) {
        let cell = |place| Cell { engine, contender: row.contender.clone(), work, commands: args.commands, place };
        let measured = match engine {
            Engine::Sqlite => {
                let directory = tempfile::tempdir_in(args.directory())?;
                cell(Place::Directory(directory.path().to_owned())).measure_apart().await?
            }
            Engine::Postgres => {
                let server = server.as_mut().context("there is no server")?;
                let (name, url) = server.create().await?;
                let measured = cell(Place::Url(url)).measure_apart().await;
                server.remove(&name).await?;
                measured?
            }
        };
        row.rounds.push(measured);
    }
    Ok(())
}
