//! One contender at one piece of work: a cell of the table, measured in a process of its own.
//!
//! So that memory and CPU time are the contender's alone, and nobody inherits what another has warmed up.

use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use nix::sys::resource::{Usage, UsageWho, getrusage};
use serde::{Deserialize, Serialize};
use tokio::process::Command;

use crate::{
    contender,
    place::{Engine, Place},
    statistics::percentile,
    work::Work,
};

/// What is to be measured.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Cell {
    pub(crate) engine: Engine,
    pub(crate) contender: String,
    pub(crate) work: Work,
    pub(crate) commands: u64,
    /// Empty, and the cell's own.
    pub(crate) place: Place,
}

/// What was measured.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Measures {
    pub(crate) per_second: f64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) p999_us: f64,
    /// CPU time of the process for each command or load. A server's is not in it.
    pub(crate) cpu_us: f64,
    /// The most memory the process had, in MiB.
    pub(crate) peak_mib: f64,
    /// The files after the database was closed; the tables and indexes, on a server.
    pub(crate) bytes_per_event: f64,
}

impl Cell {
    /// Measures in a new process.
    pub(crate) async fn measure_apart(&self) -> Result<Measures> {
        let output = Command::new(std::env::current_exe()?)
            .arg("--cell")
            .arg(serde_json::to_string(self)?)
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .output()
            .await?;
        ensure!(output.status.success(), "{} at {} ended with {}", self.contender, self.work, output.status);
        serde_json::from_slice(&output.stdout).context("a measurement cannot be read")
    }

    /// Measures in this process.
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    pub(crate) async fn measure(&self) -> Result<Measures> {
        let contenders = contender::all(self.engine);
        let contender = contenders.iter().find(|contender| contender.name() == self.contender);
        let orders = contender.context("there is no such contender")?.open(&self.place).await?;
        let prepared = self.work.prepare(&orders).await?;
        let before = getrusage(UsageWho::RUSAGE_SELF)?;
        let done = self.work.run(&orders, self.commands).await?;
        let after = getrusage(UsageWho::RUSAGE_SELF)?;
        self.work.check(&orders, self.commands).await?;
        orders.close().await?;

        let mut latencies = done.latencies;
        latencies.sort_unstable();
        let count = latencies.len() as f64;
        let microseconds = |share| percentile(&latencies, share) as f64 / 1_000.0;
        let events = prepared + self.work.events(self.commands);
        Ok(Measures {
            per_second: count / done.seconds,
            p50_us: microseconds(0.5),
            p99_us: microseconds(0.99),
            p999_us: microseconds(0.999),
            cpu_us: (cpu_microseconds(&after) - cpu_microseconds(&before)) as f64 / count,
            peak_mib: after.max_rss() as f64 / 1_024.0,
            bytes_per_event: self.place.bytes().await? as f64 / events as f64,
        })
    }
}

pub(crate) fn cpu_microseconds(usage: &Usage) -> i64 {
    let (user, system) = (usage.user_time(), usage.system_time());
    (user.tv_sec() + system.tv_sec()) * 1_000_000 + user.tv_usec() + system.tv_usec()
}
