//! An export, line by line.

use std::io::{self, BufRead, Read as _};

use super::{
    Counts, MoveError, Refusal,
    line::{Line, longest_line_bytes},
    places::Places,
    seal::Seal,
};
use crate::store::{Limits, MovedReceipt, MovedRow, RecordedEvent, RowKind};

/// What stands in a line between the first and the last.
#[derive(Debug)]
pub(super) enum Item {
    Event(RecordedEvent),
    Receipt(MovedReceipt),
    Row(MovedRow),
}

/// Where in an export a line stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) enum Stage {
    #[default]
    Start,
    Events,
    Receipts,
    Rows(RowKind),
    End,
}

/// Follows the lines of an export.
#[derive(Debug, Clone, Default)]
pub(super) struct Track {
    pub(super) seal: Seal,
    pub(super) stage: Stage,
    pub(super) counts: Counts,
    pub(super) places: Places,
    /// Lines so far.
    pub(super) lines: u64,
}

impl Track {
    /// Takes the next line, with its end. `None` for the first and the last.
    pub(super) fn take(&mut self, line: &[u8]) -> Result<Option<Item>, MoveError> {
        self.lines += 1;
        self.item(line).map_err(|(what, refusal)| MoveError::Refused { line: self.lines, what, refusal })
    }

    fn item(&mut self, line: &[u8]) -> Result<Option<Item>, (Option<String>, Refusal)> {
        let unnamed = |refusal| (None, refusal);
        if self.stage == Stage::End {
            return Err(unnamed(Refusal::Behind));
        }
        if self.stage == Stage::Start && !line.starts_with(br#"{"kind":"header","format":"annals-"#) {
            return Err(unnamed(Refusal::NoExport));
        }
        let before = line.starts_with(br#"{"kind":"end""#).then(|| self.seal.digest());
        if !self.seal.is_next(line) {
            return Err(unnamed(Refusal::Changed));
        }
        match Line::parse(line).map_err(unnamed)? {
            Line::Header(header) if self.stage == Stage::Start => {
                header.check().map_err(unnamed)?;
                self.stage = Stage::Events;
                Ok(None)
            }
            Line::Event(event) if self.stage == Stage::Events => {
                let event = event.event().map_err(unnamed)?;
                if !self.places.is_sound(&event) {
                    return Err((Some(super::error::name(&event.to_recorded())), Refusal::Checksum));
                }
                self.counts.events += 1;
                Ok(Some(Item::Event(event.to_recorded())))
            }
            Line::Receipt(receipt) if matches!(self.stage, Stage::Events | Stage::Receipts) => {
                self.stage = Stage::Receipts;
                self.counts.receipts += 1;
                receipt.receipt().map(Item::Receipt).map(Some).map_err(unnamed)
            }
            Line::Row(row) if self.stage > Stage::Start && self.stage <= Stage::Rows(row.kind()) => {
                self.stage = Stage::Rows(row.kind());
                self.counts.add(row.kind(), 1);
                Ok(Some(Item::Row(row)))
            }
            Line::End(end) if self.stage != Stage::Start => {
                self.stage = Stage::End;
                if end.counts != self.counts || before.is_none_or(|digest| digest != end.digest) {
                    return Err(unnamed(Refusal::Sum));
                }
                Ok(None)
            }
            _ => Err(unnamed(Refusal::Unreadable("it stands in the wrong place".to_owned()))),
        }
    }
}

/// What was found where a line was looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    Line,
    /// The input ends, before a line or in the middle of one.
    Nothing,
    TooLong,
}

/// Reads a line with its end, of so many bytes at the most.
pub(super) fn read_line(input: &mut impl BufRead, line: &mut Vec<u8>, longest: usize) -> io::Result<Found> {
    line.clear();
    let read = input.take(longest as u64).read_until(b'\n', line)?;
    Ok(match line.last() {
        Some(b'\n') => Found::Line,
        Some(_) if read == longest => Found::TooLong,
        _ => Found::Nothing,
    })
}

/// Reads an export from its first line to its last.
#[derive(Debug)]
pub(super) struct Lines<R> {
    input: R,
    line: Vec<u8>,
    track: Track,
    longest: usize,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn new(input: R, limits: &Limits) -> Self {
        Self { input, line: Vec::new(), track: Track::default(), longest: longest_line_bytes(limits) }
    }

    /// What stands in the next line, with its number; `None` behind the last.
    pub(super) fn next(&mut self) -> Result<Option<(u64, Item)>, MoveError> {
        loop {
            let here = self.track.lines + 1;
            match read_line(&mut self.input, &mut self.line, self.longest)? {
                Found::Nothing if self.track.stage == Stage::End && self.line.is_empty() => return Ok(None),
                Found::Nothing if self.track.stage == Stage::End => return Err(MoveError::at(here, Refusal::Behind)),
                Found::Nothing if here == 1 => return Err(MoveError::at(here, Refusal::NoExport)),
                Found::Nothing => return Err(MoveError::at(here, Refusal::CutShort)),
                Found::TooLong => return Err(MoveError::at(here, Refusal::TooLong { most: self.longest })),
                Found::Line => {}
            }
            if let Some(item) = self.track.take(&self.line)? {
                return Ok(Some((self.track.lines, item)));
            }
        }
    }

    pub(super) const fn counts(&self) -> Counts {
        self.track.counts
    }
}
