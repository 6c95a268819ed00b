//! What is found, written as it is found.

use std::{
    collections::BTreeMap,
    io::{self, BufWriter, Stdout, Write as _},
    time::Duration,
};

use annals::{Finding, FindingKind, Report};
use serde_json::{Value, json};

use crate::{args::Format, ending::Failure};

/// How many there are of each kind.
pub type Kinds = BTreeMap<FindingKind, u64>;

/// Writes findings to standard output, one after the other. None is kept.
pub struct Output {
    format: Format,
    out: BufWriter<Stdout>,
    kinds: Kinds,
    is_at_rest: bool,
    failure: Option<io::Error>,
}

/// Widths of the first two columns, in characters. Lines are written as they come, so nobody knows what is to come.
const KIND_WIDTH: usize = 19;
const POSITION_WIDTH: usize = 10;

impl Output {
    pub fn new(format: Format) -> Self {
        let out = BufWriter::new(io::stdout());
        Self { format, out, kinds: Kinds::new(), is_at_rest: true, failure: None }
    }

    /// Adds a finding. False once nothing can be written any more.
    pub fn add(&mut self, finding: &Finding) -> bool {
        let is_first = self.kinds.is_empty();
        *self.kinds.entry(finding.kind).or_default() += 1;
        self.is_at_rest = false;
        let written = self.write(finding, is_first);
        self.note(written)
    }

    /// Everything that was found so far is out.
    pub const fn is_at_rest(&self) -> bool {
        self.is_at_rest
    }

    /// Shows what was found so far. False once nothing can be written any more.
    pub fn flush(&mut self) -> bool {
        self.is_at_rest = true;
        let flushed = self.out.flush();
        self.note(flushed)
    }

    pub fn kinds(&self) -> Kinds {
        self.kinds.clone()
    }

    /// Why nothing can be written any more.
    pub fn broken(self) -> Failure {
        self.failure.map_or(Failure::Closed, Failure::output)
    }

    /// Ends it with the report.
    pub fn end(mut self, report: &Report, took: Duration) -> Result<(), Failure> {
        if self.failure.is_some() {
            return Err(self.broken());
        }
        let written = self.finish(report, took).and_then(|()| self.out.flush());
        written.map_err(Failure::output)
    }

    fn write(&mut self, finding: &Finding, is_first: bool) -> io::Result<()> {
        if is_first {
            match self.format {
                Format::Table => line(&mut self.out, "KIND", "POSITION", "WHAT IS WRONG")?,
                Format::Json => write!(self.out, "{{\n\"findings\": [")?,
                Format::Jsonl => {}
            }
        }
        match self.format {
            Format::Table => {
                let position = finding.position.map_or_else(|| "-".to_owned(), |position| position.to_string());
                line(&mut self.out, &name(finding.kind), &position, &printable(&finding.message))
            }
            Format::Json => {
                let separator = if is_first { "\n" } else { ",\n" };
                write!(self.out, "{separator}{}", serde_json::to_string(finding)?)
            }
            Format::Jsonl => writeln!(self.out, "{}", serde_json::to_string(finding)?),
        }
    }

    fn finish(&mut self, report: &Report, took: Duration) -> io::Result<()> {
        let kinds: BTreeMap<_, _> = self.kinds.iter().map(|(kind, number)| (name(*kind), *number)).collect();
        let (counts, head, is_sound) = (json!(report.counts), report.head, report.is_sound());
        let seconds = took.as_secs_f64();
        match self.format {
            Format::Table => Ok(()),
            Format::Json => {
                let open = if self.kinds.is_empty() { "{\n\"findings\": [" } else { "\n" };
                let kinds = json!(kinds);
                writeln!(
                    self.out,
                    "{open}],\n\"kinds\": {kinds},\n\"counts\": {counts},\n\"head\": {head},\n\"is_sound\": {is_sound},\n\
                     \"seconds\": {seconds}\n}}"
                )
            }
            Format::Jsonl => {
                let report = json!({
                    "kind": "report", "kinds": kinds, "counts": counts, "head": head, "is_sound": is_sound,
                    "seconds": seconds,
                });
                writeln!(self.out, "{report}")
            }
        }
    }

    fn note(&mut self, written: io::Result<()>) -> bool {
        if let Err(error) = written {
            self.failure.get_or_insert(error);
        }
        self.failure.is_none()
    }
}

/// A kind, as programs read it.
pub fn name(kind: FindingKind) -> String {
    match json!(kind) {
        Value::String(name) => name,
        other => other.to_string(),
    }
}

fn line(out: &mut BufWriter<Stdout>, kind: &str, position: &str, what: &str) -> io::Result<()> {
    writeln!(out, "{kind:KIND_WIDTH$}  {position:POSITION_WIDTH$}  {what}")
}

/// Names in a damaged database may hold anything: nothing of it must reach a terminal.
fn printable(text: &str) -> String {
    text.replace(char::is_control, "\u{fffd}")
}
