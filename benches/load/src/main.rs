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
    report::{Group, Report},
};

mod args;
mod cell;
mod conditions;
mod contender;
mod order;
mod report;
mod statistics;
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
    let report = run(&args).await?;
    match args.format {
        Format::Text => print!("{report}"),
        Format::Json => println!("{}", serde_json::to_string_pretty(&report)?),
    }
    Ok(())
}

/// Measures round by round: each runs every contender in turn, so that what disturbs the machine disturbs them all.
async fn run(args: &Args) -> Result<Report> {
    let conditions = Conditions::of(&args.directory()).await?;
    let mut groups: Vec<_> =
        args.works().into_iter().map(|work| Group::of(work, |contender| args.wants(contender))).collect();
    for round in 0..args.rounds {
        for group in &mut groups {
            eprintln!("round {} of {}: {}", round + 1, args.rounds, group.work);
            measure(group, args).await?;
        }
    }
    groups.iter_mut().for_each(Group::sum_up);
    Ok(Report { conditions, rounds: args.rounds, commands: args.commands, groups })
}

async fn measure(group: &mut Group, args: &Args) -> Result<()> {
    for row in group.rows.iter_mut().filter(|row| row.abstains.is_none()) {
        let directory = tempfile::tempdir_in(args.directory())?;
        let cell = Cell {
            contender: row.contender.clone(),
            work: group.work,
            commands: args.commands,
            directory: directory.path().to_owned(),
        };
        row.rounds.push(cell.measure_apart().await?);
    }
    Ok(())
}
