//! All that was measured, and what it comes to.

use serde::Serialize;

use crate::{
    cell::Measures,
    conditions::Conditions,
    contender::{self, BASELINE},
    http::HttpGroup,
    import::ImportGroup,
    latency::Latencies,
    log::LogGroup,
    place::Engine,
    statistics::median,
    sweep::SweepGroup,
    work::Work,
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
    /// Why it took no part.
    pub(crate) abstains: Option<&'static str>,
    /// Round by round.
    pub(crate) rounds: Vec<Measures>,
    pub(crate) medians: Option<Medians>,
}

/// The medians of the rounds.
#[derive(Debug, Serialize)]
pub(crate) struct Medians {
    #[serde(flatten)]
    pub(crate) measures: Measures,
    /// Against the baseline of the same round.
    pub(crate) per_second_ratio: Option<f64>,
    pub(crate) p99_ratio: Option<f64>,
}

impl Group {
    /// A piece of work at which nothing was measured yet.
    pub(crate) fn of(engine: Engine, work: Work, wants: impl Fn(&str) -> bool) -> Self {
        let contenders = contender::all(engine);
        let rows = contenders.iter().map(|contender| Row {
            contender: contender.name(),
            abstains: contender.abstains(work),
            rounds: Vec::new(),
            medians: None,
        });
        Self { engine, work, rows: rows.filter(|row| wants(&row.contender)).collect() }
    }

    /// Takes the medians of what was measured.
    pub(crate) fn sum_up(&mut self) {
        let baseline = self.rows.iter().find(|row| row.contender == BASELINE).map(|row| row.rounds.clone());
        for row in &mut self.rows {
            row.medians = medians(&row.rounds, baseline.as_deref().unwrap_or_default());
        }
    }
}

fn medians(rounds: &[Measures], baseline: &[Measures]) -> Option<Medians> {
    let of = |measure: fn(&Measures) -> f64| median(rounds.iter().map(measure));
    let ratio = |measure: fn(&Measures) -> f64| {
        median(rounds.iter().zip(baseline).map(|(measured, baseline)| measure(measured) / measure(baseline)))
    };
    Some(Medians {
        measures: Measures {
            per_second: of(|round| round.per_second)?,
            p50_us: of(|round| round.p50_us)?,
            p99_us: of(|round| round.p99_us)?,
            p999_us: of(|round| round.p999_us)?,
            cpu_us: of(|round| round.cpu_us)?,
            peak_mib: of(|round| round.peak_mib)?,
            bytes_per_event: of(|round| round.bytes_per_event)?,
        },
        per_second_ratio: ratio(|round| round.per_second),
        p99_ratio: ratio(|round| round.p99_us),
    })
}
