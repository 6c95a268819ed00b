//! Reading a log from its beginning to its end and folding it: annals, and the loop one would write by hand.
//!
//! Both read the same rows of the same tables, in one process and in turn, so that what disturbs the machine disturbs
//! both. Memory is measured in a process for each reader and length of the log: a peak never falls again.

use std::{fmt, process::Stdio};

use annals_contest::{Engine, Place};
use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::process::Command;

pub(crate) use self::{
    fill::{EVENTS_PER_ORDER, fill as fill_log},
    order_log::FILE as LOG_FILE,
    race::{Lap, Laps, Race},
};
use crate::{args::Args, fresh::Fresh, server::RunServer};

mod by_hand;
mod fill;
mod order_log;
mod peak;
mod race;

/// One step of a measurement, done in a process of its own.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Step {
    engine: Engine,
    place: Place,
    task: Task,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Task {
    /// Makes the log grow from so many orders to so many.
    Fill { from: u64, to: u64 },
    /// Lets the readers read in turn.
    Race { rounds: u32, orders: u64 },
    /// Lets one reader read once, and gives the most memory that the process had, in MiB.
    Peak { reader: Reader, orders: u64 },
}

/// Who reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Reader {
    /// Of the columns, those that the fold needs: the least that can be read.
    ByHand,
    /// Every column, as whoever hands events on needs them.
    ByHandAll,
    Annals,
}

pub(crate) const READERS: [Reader; 3] = [Reader::ByHand, Reader::ByHandAll, Reader::Annals];

impl fmt::Display for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ByHand => "by hand, four columns",
            Self::ByHandAll => "by hand, all columns",
            Self::Annals => "annals",
        })
    }
}

/// What was measured on a log of one length.
#[derive(Debug, Serialize)]
pub(crate) struct LogGroup {
    pub(crate) engine: Engine,
    pub(crate) events: u64,
    pub(crate) race: Race,
    /// The most memory of a process that reads the whole log, by reader. A server's is not in it.
    pub(crate) peaks_mib: [f64; 3],
}

/// Measures one log as it grows.
pub(crate) async fn measure(args: &Args, engine: Engine, mut server: Option<&mut RunServer>) -> Result<Vec<LogGroup>> {
    let fresh = Fresh::make(args, engine, server.as_deref_mut()).await?;
    let grown = grow(args, engine, &fresh.place).await;
    fresh.remove(server).await?;
    grown
}

async fn grow(args: &Args, engine: Engine, place: &Place) -> Result<Vec<LogGroup>> {
    let (mut groups, mut filled) = (Vec::new(), 0);
    for orders in args.log_orders() {
        let step = |task| Step { engine, place: place.clone(), task };
        eprintln!("{engine}: a log of {} events is filled", orders * EVENTS_PER_ORDER);
        step(Task::Fill { from: filled, to: orders }).apart::<()>().await?;
        filled = orders;
        eprintln!("{engine}: it is read, {} rounds", args.rounds);
        let race = step(Task::Race { rounds: args.rounds, orders }).apart().await?;
        let mut peaks_mib = [0.0; 3];
        for (reader, peak) in READERS.into_iter().zip(&mut peaks_mib) {
            *peak = step(Task::Peak { reader, orders }).apart().await?;
        }
        groups.push(LogGroup { engine, events: orders * EVENTS_PER_ORDER, race, peaks_mib });
    }
    Ok(groups)
}

/// Fills a log in a process of its own.
pub(crate) async fn fill_apart(engine: Engine, place: &Place, orders: u64) -> Result<()> {
    Step { engine, place: place.clone(), task: Task::Fill { from: 0, to: orders } }.apart().await
}

/// How many orders make a log of this many events.
pub(crate) const fn orders_of(events: u64) -> u64 {
    events.div_ceil(EVENTS_PER_ORDER)
}

impl Step {
    /// Does the step in a new process.
    async fn apart<T: DeserializeOwned>(&self) -> Result<T> {
        let output = Command::new(std::env::current_exe()?)
            .arg("--log-step")
            .arg(serde_json::to_string(self)?)
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .output()
            .await?;
        ensure!(output.status.success(), "{:?} on {} ended with {}", self.task, self.engine, output.status);
        serde_json::from_slice(&output.stdout).context("a measurement cannot be read")
    }

    /// Does the step in this process, and gives its result as JSON.
    pub(crate) async fn run(&self) -> Result<String> {
        Ok(match self.task {
            Task::Fill { from, to } => serde_json::to_string(&fill::fill(&self.place, from..to).await?)?,
            Task::Race { rounds, orders } => serde_json::to_string(&race::run(&self.place, rounds, orders).await?)?,
            Task::Peak { reader, orders } => serde_json::to_string(&peak::of(&self.place, reader, orders).await?)?,
        })
    }
}
