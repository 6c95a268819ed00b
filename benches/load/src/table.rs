//! The report as a table.

use std::fmt::{self, Write as _};

use annals_contest::Outcome;
use comfy_table::{CellAlignment, Table, presets};

use crate::{
    log::{Lap, Laps, LogGroup, READERS, Reader},
    report::{Group, Medians, Report, Row},
};

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.conditions)?;
        writeln!(f, "medians of {} rounds; ratios to the first row are taken within a round", self.rounds)?;
        self.groups.iter().try_for_each(|group| group.fmt(f))?;
        self.logs.iter().try_for_each(|log| log.fmt(f))?;
        self.latencies.iter().try_for_each(|latencies| latencies.fmt(f))?;
        self.requests.iter().try_for_each(|requests| requests.fmt(f))?;
        self.sweeps.iter().try_for_each(|sweep| sweep.fmt(f))?;
        self.imports.iter().try_for_each(|import| import.fmt(f))?;
        self.grown.iter().try_for_each(|grown| grown.fmt(f))
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\n{}: {}\n", self.engine, self.work)?;
        let table = if self.work.is_question() { self.answers() } else { self.measurements() };
        write!(f, "{table}\n{}", self.abstentions())
    }
}

impl Group {
    fn measurements(&self) -> Table {
        let unit = self.work.unit();
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_header([
            "contender".to_owned(),
            format!("{unit}s/s"),
            "ratio".to_owned(),
            "p50 µs".to_owned(),
            "p99 µs".to_owned(),
            "p99.9 µs".to_owned(),
            "p99 ratio".to_owned(),
            format!("CPU µs/{unit}"),
            "peak MiB".to_owned(),
            "bytes/event".to_owned(),
            "log bytes/event".to_owned(),
        ]);
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        for row in &self.rows {
            if let Some(medians) = &row.medians {
                table.add_row(figures(row.label(), medians));
            }
        }
        table
    }

    fn answers(&self) -> Table {
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_header(["contender", "rounds"]);
        for row in self.rows.iter().filter(|row| !row.answers.is_empty()) {
            let answers: Vec<_> = row.answers.iter().map(answer).collect();
            table.add_row([row.label(), answers.join("; ")]);
        }
        table
    }

    /// Who took no part, reason by reason, and who did not come to the end of a round.
    fn abstentions(&self) -> String {
        let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
        for row in &self.rows {
            let Some(reason) = &row.abstains else { continue };
            match reasons.iter_mut().find(|(known, _)| known == reason) {
                Some((_, contenders)) => contenders.push(&row.contender),
                None => reasons.push((reason, vec![&row.contender])),
            }
        }
        let mut abstentions = String::new();
        for (reason, contenders) in reasons {
            // Writing to a text cannot fail.
            writeln!(abstentions, " – {reason}: {}", contenders.join("; ")).ok();
        }
        for (row, reason) in self.rows.iter().filter_map(|row| Some((row, row.failed.as_ref()?))) {
            writeln!(abstentions, " – failed in a round: {}: {reason}", row.contender).ok();
        }
        abstentions
    }
}

impl Row {
    fn label(&self) -> String {
        self.version.as_ref().map_or_else(|| self.contender.clone(), |version| format!("{} {version}", self.contender))
    }
}

fn answer(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Measured(_) => "–".to_owned(),
        Outcome::Sent { executed, is_retry_answered } => {
            let retry = if *is_retry_answered { "answered" } else { "an error" };
            match executed {
                1 => format!("executed once, the retry was {retry}"),
                _ => format!("executed {executed} times, the retry was {retry}"),
            }
        }
        Outcome::Told { written, missed, again } => format!("missed {missed} of {written}, {again} told again"),
    }
}

fn figures(contender: String, medians: &Medians) -> [String; 11] {
    let (measured, measures) = (&medians.measured, &medians.measured.measures);
    let ratio = |ratio: Option<f64>| ratio.map_or_else(|| "–".to_owned(), |ratio| format!("{ratio:.2}"));
    // Events are counted in millions, and each costs a fraction of a microsecond.
    let cpu =
        if measures.cpu_us < 10.0 { format!("{:.2}", measures.cpu_us) } else { format!("{:.0}", measures.cpu_us) };
    [
        contender,
        format!("{:.0}", measures.per_second),
        ratio(medians.per_second_ratio),
        format!("{:.0}", measures.p50_us),
        format!("{:.0}", measures.p99_us),
        format!("{:.0}", measures.p999_us),
        ratio(medians.p99_ratio),
        cpu,
        format!("{:.1}", measures.peak_mib),
        format!("{:.0}", measured.bytes_per_event),
        measured.log_bytes_per_event.map_or_else(|| "–".to_owned(), |bytes| format!("{bytes:.0}")),
    ]
}

impl fmt::Display for LogGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new();
        let header = ["reader", "events/s", "ratio", "to all columns", "CPU µs/event", "CPU ratio", "peak MiB"];
        table.load_style(presets::NOTHING).set_header(header);
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        let peaks = self.peaks_mib.map(|mib| format!("{mib:.1}"));
        laps(&mut table, &self.race.whole, "", &peaks);
        laps(&mut table, &self.race.selected, ", a selection", &["–", "–", "–"].map(str::to_owned));
        write!(f, "\n{}: a log of {} events, read and folded\n{table}\n", self.engine, self.events)
    }
}

fn laps(table: &mut Table, laps: &Laps, what: &str, peaks: &[String]) {
    let per_second: fn(&Lap) -> f64 = |lap| lap.per_second;
    let cpu: fn(&Lap) -> f64 = |lap| lap.cpu_us_per_event;
    for (reader, peak) in READERS.into_iter().zip(peaks) {
        table.add_row([
            format!("{reader}{what}"),
            format!("{:.0}", laps.median(reader, per_second)),
            format!("{:.2}", laps.ratio(reader, Reader::ByHand, per_second)),
            format!("{:.2}", laps.ratio(reader, Reader::ByHandAll, per_second)),
            format!("{:.2}", laps.median(reader, cpu)),
            format!("{:.2}", laps.ratio(reader, Reader::ByHand, cpu)),
            peak.clone(),
        ]);
    }
}
