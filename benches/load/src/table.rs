//! The report as a table.

use std::fmt::{self, Write as _};

use comfy_table::{CellAlignment, Table, presets};

use crate::{
    log::{Lap, Laps, LogGroup, READERS, Reader},
    report::{Group, Medians, Report},
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
        self.imports.iter().try_for_each(|import| import.fmt(f))
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
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
        ]);
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        let mut abstentions = String::new();
        for row in &self.rows {
            match (&row.medians, row.abstains) {
                (Some(medians), _) => drop(table.add_row(figures(&row.contender, medians))),
                (None, reason) => writeln!(abstentions, " – {}: {}", row.contender, reason.unwrap_or("not measured"))?,
            }
        }
        write!(f, "\n{}: {}\n{table}\n{abstentions}", self.engine, self.work)
    }
}

fn figures(contender: &str, medians: &Medians) -> [String; 10] {
    let measures = &medians.measures;
    let ratio = |ratio: Option<f64>| ratio.map_or_else(|| "–".to_owned(), |ratio| format!("{ratio:.2}"));
    [
        contender.to_owned(),
        format!("{:.0}", measures.per_second),
        ratio(medians.per_second_ratio),
        format!("{:.0}", measures.p50_us),
        format!("{:.0}", measures.p99_us),
        format!("{:.0}", measures.p999_us),
        ratio(medians.p99_ratio),
        format!("{:.0}", measures.cpu_us),
        format!("{:.1}", measures.peak_mib),
        format!("{:.0}", measures.bytes_per_event),
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
