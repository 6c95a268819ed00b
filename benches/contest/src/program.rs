//! The program that contenders are in: it tells who they are, and measures one of them.

use anyhow::{Context as _, Result};
use clap::Parser;
use serde::{Deserialize, Serialize};

use crate::{cell::Cell, contender::Contender, place::Engine, work::Work};

/// What a program says when all is prepared. It begins at the next line it is sent.
pub const READY: &str = "ready";

/// Does the work of the benchmarks in one or more ways.
#[derive(Debug, Parser)]
struct Args {
    #[command(flatten)]
    asked: Asked,
}

/// What a program with contenders is asked: the part of its command line that is the same for all.
#[derive(Debug, clap::Args)]
pub struct Asked {
    /// Lists who is here and what they abstain from: of these pieces of work, as JSON.
    #[arg(long, hide = true)]
    entries: Option<String>,

    /// Measures one contender at one piece of work, as JSON.
    #[arg(long, hide = true)]
    cell: Option<String>,
}

/// One who takes part.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Entry {
    /// The name in the table.
    pub name: String,
    /// Which version of what it is made of.
    pub version: Option<String>,
    /// Where it keeps its orders.
    pub engine: Engine,
    /// Why it takes no part, for each piece of work it was asked for.
    pub abstains: Vec<Option<String>>,
}

impl Entry {
    /// What a contender says of itself.
    #[must_use]
    pub fn of(contender: &dyn Contender, works: &[Work]) -> Self {
        Self {
            name: contender.name(),
            version: contender.version().map(str::to_owned),
            engine: contender.engine(),
            abstains: works.iter().map(|work| contender.abstains(*work).map(str::to_owned)).collect(),
        }
    }
}

/// The `main` of a program with these contenders.
///
/// # Errors
///
/// Where a contender fails. The error is one to be read by people: the program ends with it.
pub async fn run(contenders: Vec<Box<dyn Contender>>) -> Result<()> {
    Args::parse().asked.answer(&contenders).await.map(drop)
}

impl Asked {
    /// Answers what was asked; tells whether anything was.
    ///
    /// # Errors
    ///
    /// Where a contender fails. The error is one to be read by people: the program ends with it.
    pub async fn answer(&self, contenders: &[Box<dyn Contender>]) -> Result<bool> {
        if let Some(works) = &self.entries {
            let works: Vec<Work> = serde_json::from_str(works).context("pieces of work are JSON")?;
            let entries: Vec<_> = contenders.iter().map(|contender| Entry::of(&**contender, &works)).collect();
            println!("{}", serde_json::to_string(&entries)?);
        }
        if let Some(cell) = &self.cell {
            measure(cell, contenders).await?;
        }
        Ok(self.entries.is_some() || self.cell.is_some())
    }
}

async fn measure(cell: &str, contenders: &[Box<dyn Contender>]) -> Result<()> {
    let cell: Cell = serde_json::from_str(cell).context("a cell is JSON")?;
    let contender = contenders.iter().find(|contender| {
        contender.name() == cell.contender && cell.engine.is_none_or(|engine| contender.engine() == engine)
    });
    let outcome = cell.measure(&**contender.context("there is no such contender")?).await?;
    println!("{}", serde_json::to_string(&outcome)?);
    Ok(())
}
