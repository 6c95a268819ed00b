//! What was sold, and how far the read model is: for people and for programs.

use std::fmt;

use annals::{Progress, RunState};
use serde::Serialize;

use crate::{
    money::{Money, grouped},
    read_model::{Row, Sales, by_country, by_day},
};

/// How many countries are shown one by one, and how many of the last days.
const ROWS_SHOWN: usize = 8;

/// How far the read model is, and who keeps it up to date.
#[derive(Debug, Serialize)]
pub struct Standing {
    pub position: u64,
    pub lag_events: u64,
    pub lag_seconds: f64,
    /// Which of the projection's builds readers see.
    pub build: u32,
    pub state: &'static str,
    /// Who runs it, or did.
    pub owner: Option<String>,
    pub failure: Option<String>,
}

/// What was sold, up to a position in the log.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Without secrets.
    pub database: String,
    pub position: u64,
    pub total: Sales,
    pub countries: Vec<(String, Sales)>,
    pub days: Vec<(String, Sales)>,
    /// What all of this is summed up from.
    pub rows: Vec<Row>,
}

impl From<Progress> for Standing {
    fn from(progress: Progress) -> Self {
        let (state, owner) = match progress.state {
            RunState::Running { owner } => ("running", Some(owner)),
            RunState::Dead { owner, .. } => ("dead", Some(owner)),
            RunState::Paused { .. } => ("paused", None),
            _ => ("stopped", None),
        };
        Self {
            position: progress.position.get(),
            lag_events: progress.lag_events,
            lag_seconds: progress.lag.as_secs_f64(),
            build: progress.build,
            state,
            owner,
            failure: progress.failure.map(|failure| failure.message),
        }
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { position, lag_events, lag_seconds, build, state, owner, failure } = self;
        writeln!(f, "position  {position}, {lag_events} events or {lag_seconds:.1} seconds behind")?;
        writeln!(f, "runner    {state}{}", owner.as_ref().map(|owner| format!(": {owner}")).unwrap_or_default())?;
        writeln!(f, "build     {build}")?;
        failure.iter().try_for_each(|failure| writeln!(f, "failure   {failure}"))
    }
}

impl Report {
    pub fn new(database: String, position: u64, rows: Vec<Row>) -> Self {
        let total = rows.iter().map(Sales::from).sum();
        Self { database, position, total, countries: by_country(&rows), days: by_day(&rows), rows }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { database, position, total, countries, days, .. } = self;
        writeln!(f, "{database}, up to position {}\n", grouped(&position.to_string()))?;
        heading(f, "country")?;
        let (first, others) = countries.split_at(countries.len().min(ROWS_SHOWN));
        rows(f, first)?;
        if !others.is_empty() {
            row(f, &format!("{} more", others.len()), others.iter().map(|(_, sales)| *sales).sum())?;
        }
        row(f, "in all", *total)?;

        writeln!(f)?;
        heading(f, if days.len() > ROWS_SHOWN { "last days" } else { "day" })?;
        rows(f, &days[days.len().saturating_sub(ROWS_SHOWN)..])
    }
}

fn heading(f: &mut fmt::Formatter<'_>, of: &str) -> fmt::Result {
    writeln!(f, "{of:<22}{:>8}{:>15}{:>14}{:>14}{:>15}", "orders", "sales", "credits", "adjusted", "net")
}

fn rows(f: &mut fmt::Formatter<'_>, rows: &[(String, Sales)]) -> fmt::Result {
    rows.iter().try_for_each(|(of, sales)| row(f, of, *sales))
}

fn row(f: &mut fmt::Formatter<'_>, of: &str, sales: Sales) -> fmt::Result {
    let money = |money: Money| grouped(&money.to_string());
    let Sales { orders, gross, credits, adjusted, net } = sales;
    let [gross, credits, adjusted, net] = [gross, credits, adjusted, net].map(money);
    let orders = grouped(&orders.to_string());
    writeln!(f, "{of:<22}{orders:>8}{gross:>15}{credits:>14}{adjusted:>14}{net:>15}")
}
