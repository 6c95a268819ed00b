//! All that was measured, and what it comes to.

use std::path::PathBuf;

use annals_contest::{Engine, Entry, Outcome, Work, median};
use serde::Serialize;

use crate::{
    apart::{Came, Measured},
    conditions::Conditions,
    contender::BASELINE,
    grown::GrownGroup,
    http::HttpGroup,
    import::ImportGroup,
    latency::Latencies,
    log::LogGroup,
    sweep::SweepGroup,
};

/// The result of a run.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) conditions: Conditions,
    pub(crate) rounds: u32,
    pub(crate) commands: u64,
    pub(crate) groups: Vec<Group>,
    pub(crate) logs: Vec<LogGroup>,
    pub(crate) latencies: Vec<Latencies>,
    pub(crate) requests: Vec<HttpGroup>,
    pub(crate) sweeps: Vec<SweepGroup>,
    pub(crate) imports: Vec<ImportGroup>,
    pub(crate) grown: Vec<GrownGroup>,
}

/// One piece of work.
#[derive(Debug, Serialize)]
pub(crate) struct Group {
    pub(crate) engine: Engine,
    pub(crate) work: Work,
    pub(crate) rows: Vec<Row>,
}

/// One contender at it.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) contender: String,
    pub(crate) version: Option<String>,
    /// Where it keeps its orders: an engine of its own stands in the table beside a server.
    pub(crate) engine: Engine,
    #[serde(skip)]
    pub(crate) program: PathBuf,
    /// Why it took no part.
    pub(crate) abstains: Option<String>,
    /// What kept it from the end, the last time it came to none.
    pub(crate) failed: Option<String>,
    /// Round by round.
    pub(crate) rounds: Vec<Measured>,
    /// The same, where a question was asked.
    pub(crate) answers: Vec<Outcome>,
    pub(crate) medians: Option<Medians>,
}

/// The medians of the rounds.
#[derive(Debug, Serialize)]
pub(crate) struct Medians {
    #[serde(flatten)]
    pub(crate) measured: Measured,
    /// Against the baseline of the same round.
    pub(crate) per_second_ratio: Option<f64>,
    pub(crate) p99_ratio: Option<f64>,
}

impl Group {
    /// A piece of work at which nothing was measured yet: the `at`th that the entries were asked about.
    pub(crate) fn of(engine: Engine, (at, work): (usize, Work), roster: &[(PathBuf, Entry)]) -> Self {
        let takes_part =
            |entry: &Entry| entry.engine == engine || (entry.engine == Engine::Own && engine == Engine::Postgres);
        let rows = roster.iter().filter(|(_, entry)| takes_part(entry)).map(|(program, entry)| Row {
            contender: entry.name.clone(),
            version: entry.version.clone(),
            engine: entry.engine,
            program: program.clone(),
            abstains: entry.abstains.get(at).cloned().flatten(),
            failed: None,
            rounds: Vec::new(),
            answers: Vec::new(),
            medians: None,
        });
        Self { engine, work, rows: rows.collect() }
    }

    /// Takes the medians of what was measured.
    pub(crate) fn sum_up(&mut self) {
        let baseline = self.rows.iter().find(|row| row.contender == BASELINE).map(|row| row.rounds.clone());
        for row in &mut self.rows {
            row.medians = medians(&row.rounds, baseline.as_deref().unwrap_or_default());
        }
    }
}

impl Row {
    /// Keeps what came of a round.
    pub(crate) fn add(&mut self, came: anyhow::Result<Came>) {
        match came {
            Ok(Came::Measured(measured)) => self.rounds.push(measured),
            Ok(Came::Answered(outcome)) => self.answers.push(outcome),
            Err(error) => self.failed = Some(format!("{error:#}")),
        }
    }
}

fn medians(rounds: &[Measured], baseline: &[Measured]) -> Option<Medians> {
    let of = |measure: fn(&Measured) -> f64| median(rounds.iter().map(measure));
    let ratio = |measure: fn(&Measured) -> f64| {
        median(rounds.iter().zip(baseline).map(|(measured, baseline)| measure(measured) / measure(baseline)))
    };
    let mut measured = *rounds.first()?;
    measured.measures.per_second = of(|round| round.measures.per_second)?;
    measured.measures.p50_us = of(|round| round.measures.p50_us)?;
    measured.measures.p99_us = of(|round| round.measures.p99_us)?;
    measured.measures.p999_us = of(|round| round.measures.p999_us)?;
    measured.measures.cpu_us = of(|round| round.measures.cpu_us)?;
    measured.measures.peak_mib = of(|round| round.measures.peak_mib)?;
    measured.bytes_per_event = of(|round| round.bytes_per_event)?;
    measured.log_bytes_per_event = median(rounds.iter().filter_map(|round| round.log_bytes_per_event));
    Some(Medians {
        measured,
        per_second_ratio: ratio(|round| round.measures.per_second),
        p99_ratio: ratio(|round| round.measures.p99_us),
    })
}
