//! A contender at work, in a process of its own; or in two, where the work asks for them.

use std::{path::Path, process::Stdio, time::Duration};

use annals_contest::{Cell, Entry, Measures, Outcome, Place, READY, Work};
use anyhow::{Context as _, Result, anyhow, bail, ensure};
use serde::Serialize;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    time::timeout,
};

use crate::disk;

/// How long a contender may take for a piece of work. Whoever takes longer is ended.
const PATIENCE: Duration = Duration::from_secs(900);

/// What was measured, and what is left on the disk.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Measured {
    #[serde(flatten)]
    pub(crate) measures: Measures,
    /// The files after the database was closed; the tables and indexes, on a server.
    pub(crate) bytes_per_event: f64,
    /// What was sent to the disk for an event; on a server, its log alone. Nothing where no events were written.
    pub(crate) log_bytes_per_event: Option<f64>,
}

/// What came of it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Came {
    Measured(Measured),
    Answered(Outcome),
}

/// Asks a program who is in it, and what they abstain from.
pub(crate) async fn entries(program: &Path, works: &[Work]) -> Result<Vec<Entry>> {
    let output = Command::new(program)
        .arg("--entries")
        .arg(serde_json::to_string(works)?)
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .output()
        .await
        .with_context(|| format!("running {}", program.display()))?;
    ensure!(output.status.success(), "{} ended with {}", program.display(), output.status);
    serde_json::from_slice(&output.stdout).context("the contenders of a program cannot be read")
}

/// Has a cell measured: the clock runs in the program, and the server's log is looked at here.
pub(crate) async fn measure(program: &Path, cell: &Cell) -> Result<Came> {
    timeout(PATIENCE, measure_at_leisure(program, cell)).await.map_err(|_| anyhow!("it took too long"))?
}

async fn measure_at_leisure(program: &Path, cell: &Cell) -> Result<Came> {
    let mut running = Vec::new();
    for part in cell.part..cell.part + cell.work.processes() {
        running.push(Running::prepared(program, &Cell { part, ..cell.clone() }).await?);
    }
    if cell.work.is_reading() {
        disk::tidy_up(&cell.place).await?;
    }
    let before = disk::log_position(&cell.place).await?;
    for process in &mut running {
        process.begin().await?;
    }
    let mut all: Option<Measures> = None;
    for process in running {
        match process.outcome().await? {
            Outcome::Measured(measures) => all = Some(all.map_or(measures, |other| together(&other, &measures))),
            answer => return Ok(Came::Answered(answer)),
        }
    }
    let measures = all.context("nothing was measured")?;
    let log_bytes = match (before, disk::log_position(&cell.place).await?) {
        (Some(before), Some(after)) => Some(after - before),
        _ => measures.log_bytes,
    };
    finish(measures, log_bytes, &cell.place).await
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
async fn finish(measures: Measures, log_bytes: Option<u64>, place: &Place) -> Result<Came> {
    let written = measures.measured_events;
    Ok(Came::Measured(Measured {
        bytes_per_event: disk::bytes(place).await? as f64 / measures.events as f64,
        log_bytes_per_event: log_bytes.filter(|_| written > 0).map(|bytes| bytes as f64 / written as f64),
        measures,
    }))
}

/// Two processes that have worked at once: what they did together, and the worse of what each had to wait for.
fn together(one: &Measures, other: &Measures) -> Measures {
    Measures {
        per_second: one.per_second + other.per_second,
        p50_us: one.p50_us.max(other.p50_us),
        p99_us: one.p99_us.max(other.p99_us),
        p999_us: one.p999_us.max(other.p999_us),
        cpu_us: f64::midpoint(one.cpu_us, other.cpu_us),
        peak_mib: one.peak_mib + other.peak_mib,
        events: one.events + other.events,
        measured_events: one.measured_events + other.measured_events,
        log_bytes: one.log_bytes.zip(other.log_bytes).map(|(one, other)| one + other),
    }
}

/// A process that has prepared its work, or is at it.
struct Running {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Running {
    async fn prepared(program: &Path, cell: &Cell) -> Result<Self> {
        let mut child = Command::new(program)
            .arg("--cell")
            .arg(serde_json::to_string(cell)?)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()?;
        let stdout = child.stdout.take().context("there is no output")?;
        let mut running = Self { child, lines: BufReader::new(stdout).lines() };
        running.line(|line| line == READY).await?;
        Ok(running)
    }

    async fn begin(&mut self) -> Result<()> {
        let stdin = self.child.stdin.as_mut().context("there is no input")?;
        stdin.write_all(b"\n").await?;
        stdin.flush().await?;
        Ok(())
    }

    async fn outcome(mut self) -> Result<Outcome> {
        // What a contender's crates print beside it is passed over.
        let line = self.line(|line| line.starts_with('{')).await?;
        let status = self.child.wait().await?;
        ensure!(status.success(), "it ended with {status}");
        serde_json::from_str(&line).context("a measurement cannot be read")
    }

    async fn line(&mut self, is_wanted: fn(&str) -> bool) -> Result<String> {
        while let Some(line) = self.lines.next_line().await? {
            if is_wanted(&line) {
                return Ok(line);
            }
        }
        bail!("it ended with {}", self.child.wait().await?)
    }
}
