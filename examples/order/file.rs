//! The file: rows of invoices, plain or gzipped, read one at a time.

use std::{
    collections::VecDeque,
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::Path,
};

use flate2::bufread::MultiGzDecoder;

use crate::row::{HEADER, Malformed, Row};

/// The most bytes of a row. Longer ones are malformed, not read.
const MAX_ROW_BYTES: usize = 64 << 10;

/// The most lines of a row: a quoted field may hold line breaks.
const MAX_ROW_LINES: usize = 16;

/// Reads rows.
///
/// A row that cannot be read costs itself alone: after a quote that is opened and never closed the next row is looked
/// for in the next line, not at the end of the file.
pub struct Rows {
    input: Box<dyn BufRead + Send>,
    /// Lines that were looked at for a row which then did without them.
    ahead: VecDeque<Vec<u8>>,
    /// The number of the last line that was taken.
    line: u64,
}

/// A row, or what is wrong with it, and the number of the line it begins in: the file's first line is 1.
pub type NumberedRow = (u64, Result<Row, Malformed>);

/// Why a file cannot be read, or read on.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    #[error("cannot open it")]
    Open(#[source] io::Error),
    #[error("its name ends with .gz, but it is not gzipped")]
    NotGzipped,
    #[error("its first line is {0:?}; expected {HEADER}")]
    Header(String),
    #[error("cannot read on after line {line}")]
    Read { line: u64, source: io::Error },
}

impl Rows {
    /// Opens a file. `watch` may stand between it and its reader, to see how far the reader is.
    pub fn open<R: Read + Send + 'static>(path: &Path, watch: impl FnOnce(File) -> R) -> Result<Self, FileError> {
        let file = File::open(path).map_err(FileError::Open)?;
        let mut file = BufReader::new(watch(file));
        // Of a file its first bytes tell more than its name.
        let is_gzipped = file.fill_buf().map_err(FileError::Open)?.starts_with(b"\x1f\x8b");
        if !is_gzipped && path.extension().is_some_and(|extension| extension == "gz") {
            return Err(FileError::NotGzipped);
        }
        if is_gzipped { Self::new(BufReader::new(MultiGzDecoder::new(file))) } else { Self::new(file) }
    }

    fn new(input: impl BufRead + Send + 'static) -> Result<Self, FileError> {
        let mut rows = Self { input: Box::new(input), ahead: VecDeque::new(), line: 0 };
        let first = rows.next_line()?.unwrap_or_default();
        let first = String::from_utf8_lossy(&first);
        let first = first.trim_start_matches('\u{feff}').trim_end();
        if first != HEADER {
            return Err(FileError::Header(first.chars().take(2 * HEADER.len()).collect()));
        }
        rows.line = 1;
        Ok(rows)
    }

    /// Reads the next row. Empty lines are passed over.
    pub fn next_row(&mut self) -> Result<Option<NumberedRow>, FileError> {
        while let Some(line) = self.next_line()? {
            self.line += 1;
            if !line.trim_ascii().is_empty() {
                let number = self.line;
                return Ok(Some((number, self.row_from(line)?)));
            }
        }
        Ok(None)
    }

    /// Makes a row of a line, and of those after it where a quoted field goes on.
    fn row_from(&mut self, first: Vec<u8>) -> Result<Result<Row, Malformed>, FileError> {
        let mut row = parse(&first);
        let (mut text, mut taken) = (first, Vec::new());
        while row == Err(Malformed::OpenQuote) && taken.len() + 1 < MAX_ROW_LINES {
            let Some(line) = self.next_line()? else { break };
            text.extend_from_slice(&line);
            taken.push(line);
            row = parse(&text);
        }
        if row.is_ok() {
            self.line += taken.len() as u64;
        } else if !taken.is_empty() {
            row = Err(Malformed::OpenQuote);
            taken.into_iter().rev().for_each(|line| self.ahead.push_front(line));
        }
        Ok(row)
    }

    /// Reads a line with its line break, or as much of it as a row may have.
    fn next_line(&mut self) -> Result<Option<Vec<u8>>, FileError> {
        if let Some(line) = self.ahead.pop_front() {
            return Ok(Some(line));
        }
        let mut line = Vec::new();
        let read = |source| FileError::Read { line: self.line + self.ahead.len() as u64, source };
        self.input.by_ref().take(MAX_ROW_BYTES as u64).read_until(b'\n', &mut line).map_err(read)?;
        if line.is_empty() {
            return Ok(None);
        }
        if !line.ends_with(b"\n") {
            self.input.skip_until(b'\n').map_err(read)?;
            line.push(b'\n');
        }
        Ok(Some(line))
    }
}

fn parse(text: &[u8]) -> Result<Row, Malformed> {
    if text.len() > MAX_ROW_BYTES { Err(Malformed::TooLong(MAX_ROW_BYTES)) } else { Row::parse(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "1,2,A,6.0,2010-12-01 12:43:00,1.0,,France";

    fn read(body: &str) -> Vec<(u64, Result<Option<String>, Malformed>)> {
        let mut rows = Rows::new(io::Cursor::new(format!("\u{feff}{HEADER}\r\n{body}"))).unwrap();
        std::iter::from_fn(move || rows.next_row().unwrap())
            .map(|(line, row)| (line, row.map(|row| row.line.description)))
            .collect()
    }

    fn good() -> Result<Option<String>, Malformed> {
        Ok(Some("A".to_owned()))
    }

    #[test]
    fn rows_bear_the_numbers_of_their_lines() {
        assert_eq!(
            read(&format!("{GOOD}\n\n1,2\r\n{GOOD}")),
            [(2, good()), (4, Err(Malformed::Columns(2))), (5, good())]
        );
    }

    #[test]
    fn a_quoted_field_may_hold_line_breaks() {
        let two_lines = GOOD.replace('A', "\"A\nB\"");
        assert_eq!(read(&format!("{two_lines}\n{GOOD}\n")), [(2, Ok(Some("A\nB".to_owned()))), (4, good())]);
    }

    #[test]
    fn an_open_quote_costs_its_own_row_alone() {
        let open = GOOD.replace('A', "\"A");
        let quoted = GOOD.replace('A', "\"A\"");
        for rest in [GOOD, &quoted, &open] {
            let rows = read(&format!("{open}\n{rest}\n{GOOD}\n"));
            assert_eq!((rows.len(), &rows[0], &rows[2]), (3, &(2, Err(Malformed::OpenQuote)), &(4, good())), "{rest}");
        }
        let many = format!("{open}\n{}", format!("{GOOD}\n").repeat(3 * MAX_ROW_LINES));
        assert_eq!(read(&many).iter().filter(|(_, row)| row.is_ok()).count(), 3 * MAX_ROW_LINES);
    }

    #[test]
    fn a_row_without_end_is_not_read_into_memory() {
        let long = "x".repeat(3 * MAX_ROW_BYTES);
        assert_eq!(read(&format!("{long}\n{GOOD}\n")), [(2, Err(Malformed::TooLong(MAX_ROW_BYTES))), (3, good())]);
    }

    #[test]
    fn another_header_is_refused() {
        for other in ["", "a,b,c\n", "InvoiceNo\n"] {
            assert!(matches!(Rows::new(other.as_bytes()), Err(FileError::Header(_))), "{other:?}");
        }
    }
}
