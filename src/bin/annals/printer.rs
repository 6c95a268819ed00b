//! Where data and words are written, and how.

use std::{
    fmt::Display,
    io::{self, BufWriter, IsTerminal as _, Stdout, Write as _},
    mem,
    time::Duration,
};

use chrono::{DateTime, SecondsFormat, Utc};
use comfy_table::{Attribute, Cell, ContentArrangement, Table, presets::NOTHING};
use serde::Serialize;

use super::{args::Format, ending::Failure};

/// Writes data to standard output, and words to standard error.
#[derive(Debug)]
pub struct Printer {
    format: Format,
    quiet: bool,
    /// Somebody looks at it who likes to see headings: a terminal, and `NO_COLOR` is not set.
    styled: bool,
    /// Whether lines are cut to the width of a terminal.
    is_terminal: bool,
}

/// The most rows whose columns are made equally wide: what a table of any length may hold in memory.
const ROWS_AT_ONCE: usize = 1_000;

impl Printer {
    pub fn new(format: Format, quiet: bool) -> Self {
        let is_terminal = io::stdout().is_terminal();
        let is_plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { format, quiet, styled: is_terminal && !is_plain, is_terminal }
    }

    /// How data is to be written.
    pub const fn format(&self) -> Format {
        self.format
    }

    /// Data is for people.
    pub fn is_table(&self) -> bool {
        self.format == Format::Table
    }

    /// Nothing is to be said but errors.
    pub const fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// How many characters a line of the terminal has; `None` where it is written elsewhere, and nothing is to be cut.
    pub fn width(&self) -> Option<usize> {
        self.is_terminal.then(|| Table::new().width().unwrap_or(80).into())
    }

    /// Says something to whoever is there, unless nothing is to be said.
    pub fn words(&self, text: impl Display) {
        if !self.quiet {
            say(&text.to_string());
        }
    }

    /// Writes one thing: a text for people, or an object.
    pub fn object(&self, object: &impl Serialize, text: impl FnOnce() -> String) -> Result<(), Failure> {
        let mut text = match self.format {
            Format::Table => harmless(&text()),
            Format::Json => serde_json::to_string_pretty(object)?,
            Format::Jsonl => serde_json::to_string(object)?,
        };
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(Failure::output)
    }

    /// Begins a list: a table with these headings, an array, or an object on each line.
    pub fn list(&self, headings: &[&str]) -> List<'_> {
        List { printer: self, table: self.table(headings), out: BufWriter::new(io::stdout()), written: 0 }
    }

    /// A table for people. Names of columns are all it is drawn with.
    pub fn table(&self, headings: &[&str]) -> Table {
        let mut table = Table::new();
        table.load_style(NOTHING);
        // A line stays a line, also where a terminal is narrower: so it can be searched for and copied.
        table.set_content_arrangement(ContentArrangement::Disabled);
        // Headings that are none would be an empty line.
        if !headings.is_empty() {
            table.set_header(headings.iter().map(|heading| {
                let cell = Cell::new(heading);
                if self.styled { cell.add_attribute(Attribute::Bold) } else { cell }
            }));
        }
        if self.styled {
            table.enforce_styling();
        }
        table
    }
}

/// Writes things of one kind, one after the other.
///
/// Nothing is kept but the rows of the table that is being filled.
#[derive(Debug)]
pub struct List<'p> {
    printer: &'p Printer,
    table: Table,
    /// Not locked: a lock cannot go along with a read of the library's.
    out: BufWriter<Stdout>,
    written: u64,
}

impl List<'_> {
    /// Adds a row of a table, or an object.
    pub fn row<C: Into<Cell>>(
        &mut self,
        object: &impl Serialize,
        cells: impl IntoIterator<Item = C>,
    ) -> Result<(), Failure> {
        if !self.printer.is_table() {
            return self.json(object);
        }
        self.table.add_row(cells.into_iter().map(Into::into));
        self.written += 1;
        if self.table.row_count() == ROWS_AT_ONCE { self.draw() } else { Ok(()) }
    }

    /// Adds a text for people, or an object.
    pub fn text(&mut self, object: &impl Serialize, text: &str) -> Result<(), Failure> {
        if !self.printer.is_table() {
            return self.json(object);
        }
        self.written += 1;
        writeln!(self.out, "{}", harmless(text)).map_err(Failure::output)
    }

    fn json(&mut self, object: &impl Serialize) -> Result<(), Failure> {
        let line = serde_json::to_string(object)?;
        let before = match (self.printer.format, self.written) {
            (Format::Json, 0) => "[\n",
            (Format::Json, _) => ",\n",
            (Format::Table | Format::Jsonl, _) => "",
        };
        let behind = if self.printer.format == Format::Json { "" } else { "\n" };
        self.written += 1;
        write!(self.out, "{before}{line}{behind}").map_err(Failure::output)
    }

    fn draw(&mut self) -> Result<(), Failure> {
        let next = self.printer.table(&[]);
        write!(self.out, "{}", harmless(&drawn(mem::replace(&mut self.table, next)))).map_err(Failure::output)
    }

    /// Says something beside it.
    pub fn words(&self, text: impl Display) {
        self.printer.words(text);
    }

    /// How many there are so far.
    pub const fn len(&self) -> u64 {
        self.written
    }

    /// Shows what there is so far.
    pub fn flush(&mut self) -> Result<(), Failure> {
        if self.printer.is_table() && !self.table.is_empty() {
            self.draw()?;
        }
        self.out.flush().map_err(Failure::output)
    }

    /// Ends it.
    pub fn end(mut self) -> Result<(), Failure> {
        let closing = match (self.printer.format, self.written) {
            (Format::Json, 0) => "[]\n",
            (Format::Json, _) => "\n]\n",
            (Format::Table | Format::Jsonl, _) => "",
        };
        write!(self.out, "{closing}").map_err(Failure::output)?;
        self.flush()
    }
}

/// A table as text: two blanks between columns, none at the ends of lines.
pub fn drawn(mut table: Table) -> String {
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.lines().fold(String::new(), |text, line| text + line.trim_end() + "\n")
}

/// A text that can do nothing to a terminal but make headings bold: what failed may say anything.
pub fn harmless(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for (at, character) in text.char_indices() {
        let is_style = || ["\u{1b}[1m", "\u{1b}[0m"].iter().any(|style| text[at..].starts_with(style));
        if !character.is_control() || character == '\n' || (character == '\u{1b}' && is_style()) {
            shown.push(character);
        } else {
            shown.extend(character.escape_default());
        }
    }
    shown
}

/// Says something on standard error. Nobody may be listening.
pub fn say(text: &str) {
    let _ = writeln!(io::stderr().lock(), "annals: {}", harmless(text));
}

/// A time, as people read it: UTC, to the millisecond.
pub fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// A time, as programs read it: UTC, to the microsecond.
pub fn exact(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Micros, true)
}

/// How long something took or has been, as people read it: two units at the most.
pub fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    let two = |large: u64, unit: &str, small: u64, of: &str| match small {
        0 => format!("{large}{unit}"),
        small => format!("{large}{unit} {small}{of}"),
    };
    match seconds {
        0 if span.is_zero() => "0s".to_owned(),
        0 => format!("{}ms", span.as_millis().max(1)),
        1..60 => format!("{seconds}s"),
        60..3_600 => two(seconds / 60, "m", seconds % 60, "s"),
        3_600..86_400 => two(seconds / 3_600, "h", seconds % 3_600 / 60, "m"),
        _ => two(seconds / 86_400, "d", seconds % 86_400 / 3_600, "h"),
    }
}

/// A number, as people read it: 1,234,567.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// So many of something, as people say it: `1 event`, `2 events`.
pub fn counted(number: u64, thing: &str) -> String {
    let many = if number == 1 { "" } else { "s" };
    format!("{} {thing}{many}", grouped(number))
}

/// A name as a shell takes it.
pub fn quoted(name: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.:/@".contains(c);
    if !name.is_empty() && name.chars().all(is_plain) {
        name.to_owned()
    } else {
        format!("'{}'", name.replace('\'', r"'\''"))
    }
}

/// A number of bytes, as people read it.
pub fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1_024 {
        return format!("{bytes} B");
    }
    let power = (bytes.ilog2() / 10).min(5);
    #[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
    let shown = bytes as f64 / (1_u64 << (10 * power)) as f64;
    format!("{shown:.1} {}", UNITS[power as usize - 1])
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{bytes, grouped, harmless, span};

    #[test]
    fn a_text_can_do_nothing_to_a_terminal() {
        assert_eq!(harmless("a\u{1b}[2Jb\u{7}\tc\n"), "a\\u{1b}[2Jb\\u{7}\\tc\n");
        assert_eq!(harmless("\u{1b}[1mNAME\u{1b}[0m"), "\u{1b}[1mNAME\u{1b}[0m");
    }

    #[test]
    fn numbers_are_shown_for_people() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(
            [0, 1_023, 1_024, 1_572_864, u64::MAX].map(bytes),
            ["0 B", "1023 B", "1.0 KiB", "1.5 MiB", "16384.0 PiB"]
        );
        let spans = [0, 5, 1_500, 61_000, 7_200_000, 90_000_000].map(Duration::from_millis);
        assert_eq!(spans.map(span), ["0s", "5ms", "1s", "1m 1s", "2h", "1d 1h"]);
    }
}
