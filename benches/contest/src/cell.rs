//! One contender at one piece of work: a cell of the table, measured in a process of its own.
//!
//! So that memory and CPU time are the contender's alone, and nobody inherits what another has warmed up.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, BufReader};

use crate::{
    checks,
    contender::{Contender, Orders},
    place::{Engine, Place},
    program::READY,
    statistics::percentile,
    usage::Used,
    work::Work,
};

/// What is to be measured.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Cell {
    /// Who does the work.
    pub contender: String,
    /// Where it keeps its orders: names are told apart by that. `None` where there is one of the name.
    #[serde(default)]
    pub engine: Option<Engine>,
    /// What is done.
    pub work: Work,
    /// How many commands; other work follows from it.
    pub commands: u64,
    /// Where.
    pub place: Place,
    /// Which of the processes that work at once this is, from 0.
    pub part: u64,
}

/// What came of it.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The work was measured.
    Measured(Measures),
    /// A command was sent twice.
    Sent {
        /// How often it was executed.
        executed: u64,
        /// Whether the retry was told that the command is done, and not an error.
        is_retry_answered: bool,
    },
    /// A subscriber was told of events.
    Told {
        /// How many were written.
        written: u64,
        /// Of how many it was never told.
        missed: u64,
        /// How often it was told of one that it knew.
        again: u64,
    },
}

/// What was measured.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Measures {
    /// Commands, loads or events in a second.
    pub per_second: f64,
    /// The median of the latencies, in microseconds.
    pub p50_us: f64,
    /// 99 of 100 took no longer.
    pub p99_us: f64,
    /// 999 of 1,000 took no longer.
    pub p999_us: f64,
    /// CPU time of the process for each command, load or event. A server's is not in it.
    pub cpu_us: f64,
    /// The most memory the process had, in MiB.
    pub peak_mib: f64,
    /// How many events were written, the preparation's among them.
    pub events: u64,
    /// How many of them while the clock ran.
    pub measured_events: u64,
    /// What the process has sent to the disk while the clock ran; on a server, the length of its log.
    pub log_bytes: Option<u64>,
}

impl Cell {
    /// Measures in this process. Says when it is ready, and begins when it is told.
    pub(crate) async fn measure(&self, contender: &dyn Contender) -> Result<Outcome> {
        let orders = contender.open(&self.place).await.context("opening")?;
        let prepared = self.work.prepare(&orders, self.part).await.context("preparing")?;
        wait_for_the_start().await?;
        let outcome = match self.work {
            Work::LostReply => checks::lost_reply(&orders).await?,
            Work::Beside => checks::beside(&orders).await?,
            _ => Outcome::Measured(self.measured(&orders, prepared).await?),
        };
        orders.close().await.context("closing")?;
        Ok(outcome)
    }

    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    async fn measured(&self, orders: &Arc<dyn Orders>, prepared: u64) -> Result<Measures> {
        let before = Used::now()?;
        let done = self.work.run(orders, self.commands, self.part).await?;
        let after = Used::now()?;
        self.work.check(orders, self.commands, self.part).await?;

        let mut latencies = done.latencies;
        latencies.sort_unstable();
        let units = done.units as f64;
        let microseconds = |share| percentile(&latencies, share) as f64 / 1_000.0;
        let measured_events = self.work.events(self.commands);
        Ok(Measures {
            per_second: units / done.seconds,
            p50_us: microseconds(0.5),
            p99_us: microseconds(0.99),
            p999_us: microseconds(0.999),
            cpu_us: after.cpu_us_since(&before) / units,
            peak_mib: after.peak_mib(),
            events: prepared + measured_events,
            measured_events,
            log_bytes: after.disk_bytes_since(&before),
        })
    }
}

/// Says that all is prepared, and waits for a line.
async fn wait_for_the_start() -> Result<()> {
    println!("{READY}");
    let mut line = String::new();
    BufReader::new(tokio::io::stdin()).read_line(&mut line).await.context("waiting for the start")?;
    Ok(())
}
