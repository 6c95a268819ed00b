//! The same work on annals, on hand-written SQL and on bare INSERTs, in one table.
//!
//! ```text
//! cargo run --release --manifest-path benches/load/Cargo.toml -- --tasks 1,64 --rounds 3
//! ```

use annals_contest::Engine;
use anyhow::{Context as _, Result};
use clap::Parser as _;

use crate::{
    args::{Args, Format},
    conditions::Conditions,
    http::HttpCell,
    report::Report,
    server::RunServer,
};

mod apart;
mod args;
mod conditions;
mod contender;
mod disk;
mod fresh;
mod grown;
mod http;
mod import;
mod latency;
mod log;
#[path = "../../../tests/postgres_server/mod.rs"]
#[allow(missing_docs, clippy::missing_panics_doc, clippy::missing_errors_doc, reason = "a part of the tests")]
mod postgres_server;
mod race;
#[path = "../../../tests/redis_server/mod.rs"]
#[allow(missing_docs, clippy::missing_panics_doc, clippy::missing_errors_doc, reason = "a part of the tests")]
mod redis_server;
mod report;
mod server;
mod sweep;
mod table;

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    if args.asked.answer(&contender::all()).await? {
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
    let groups = race::run(args, server.as_mut()).await?;
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
    let mut grown = Vec::new();
    for engine in args.engines() {
        grown.extend(grown::measure(args, *engine, server.as_mut()).await?);
    }
    let (rounds, commands) = (args.rounds, args.commands);
    Ok(Report { conditions, rounds, commands, groups, logs, latencies, requests, sweeps, imports, grown })
}
