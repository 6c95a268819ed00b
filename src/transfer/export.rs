//! Out of a database.

use std::{
    fmt,
    io::{self, BufRead, Write},
};

use super::{
    Counts, MoveError, Refusal,
    error::name,
    line::{End, EventLine, Header, ReceiptLine, longest_line_bytes, write_row},
    lines::{Found, Item, Stage, Track, read_line},
};
use crate::store::{
    AggregateName, Cursor, Error, EventRef, Limits, LogQuery, MovedReceipt, MovedRow, Position, RecordedEvent, RowKind,
    StreamQuery, TransferStore,
};

/// The most events that are read at once: no snapshot of the database lasts longer.
const PAGE_EVENTS: u64 = 8_192;
/// The most receipts, or other rows, that are read at once. A rejection may have as many bytes as an event.
const PAGE_ROWS: u32 = 250;

/// Writes what a store holds, as lines of JSON.
///
/// Events in the order of the log, up to its end as it is when the export begins; the receipts that belong to them; and then
/// what keeps anything from being told or done twice: checkpoints of subscriptions and their parked events, timers, and
/// messages that were taken in.
///
/// It runs beside writers and holds none of them up; it misses no event, whatever is written meanwhile. Memory does not
/// grow with the log.
///
/// What is left behind: projections and snapshots, which are built anew; leases; stored answers to HTTP requests, steps and
/// calls to other services, which are of use for a short time.
///
/// ```
/// # async fn example(store: annals::SqliteStore) -> Result<(), Box<dyn std::error::Error>> {
/// use annals::transfer::Export;
///
/// let mut file = std::io::BufWriter::new(std::fs::File::create("shop.jsonl")?);
/// let exported = Export::new(&store).run(&mut file).await?;
/// println!("{} events", exported.counts.events);
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing is written before it is run"]
pub struct Export<'s> {
    store: &'s dyn TransferStore,
    from: Partial,
    on_progress: Option<OnProgress<'s>>,
}

type OnProgress<'s> = Box<dyn FnMut(&Counts, Position, Position) + Send + 's>;

/// Says what was exported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
    /// How many of each kind, those of an earlier part included.
    pub counts: Counts,
    /// The SHA-256 over all lines but the last, in hexadecimal digits.
    pub digest: String,
    /// How far it goes in the log: every event up to here is in it.
    pub up_to: Position,
    /// Whether events were recorded meanwhile, which are not in it.
    ///
    /// What subscriptions, timers and the inbox know may then be ahead of its events: it is good for events and receipts
    /// ([`Import::events_only`](super::Import::events_only)). Whatever is to be started on a copy needs an export of a
    /// database that nobody writes to.
    pub went_on: bool,
    /// Whose open transaction keeps the log from being read further.
    ///
    /// Events may be missing then.
    pub held_by: Option<String>,
}

/// Knows the beginning of an export that was broken off, to go on behind it.
#[derive(Debug, Clone, Default)]
pub struct Partial {
    track: Track,
    last_event: Option<RecordedEvent>,
    last_receipt: Option<MovedReceipt>,
    last_row: Option<MovedRow>,
    bytes: u64,
}

impl Partial {
    /// Reads on, up to the end of the last sound line.
    ///
    /// Tells whether there is something behind that.
    ///
    /// # Errors
    ///
    /// [`MoveError::Refused`]: this is no export, or not one of this version; [`MoveError::File`].
    pub fn read(&mut self, mut input: impl BufRead, limits: &Limits) -> Result<bool, MoveError> {
        let (mut line, longest) = (Vec::new(), longest_line_bytes(limits));
        loop {
            match read_line(&mut input, &mut line, longest)? {
                Found::Nothing => return Ok(!line.is_empty()),
                Found::TooLong => return Ok(true),
                Found::Line => {}
            }
            let before = self.track.clone();
            match self.track.take(&line) {
                Ok(Some(Item::Event(event))) => self.last_event = Some(event),
                Ok(Some(Item::Receipt(receipt))) => self.last_receipt = Some(receipt),
                Ok(Some(Item::Row(row))) => self.last_row = Some(row),
                Ok(None) => {}
                // After a power cut the end of a file can be anything.
                Err(MoveError::Refused { refusal: Refusal::Changed, .. }) => {
                    self.track = before;
                    return Ok(true);
                }
                Err(error) => return Err(error),
            }
            self.bytes += line.len() as u64;
        }
    }

    /// Whether the last line was read too: nothing is left to do.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.track.stage == Stage::End
    }

    /// The bytes of the lines that were read.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The lines that were read.
    #[must_use]
    pub const fn lines(&self) -> u64 {
        self.track.lines
    }

    /// How many of each kind were read.
    #[must_use]
    pub const fn counts(&self) -> Counts {
        self.track.counts
    }
}

impl<'s> Export<'s> {
    /// Prepares an export of everything.
    pub fn new(store: &'s dyn TransferStore) -> Self {
        Self { store, from: Partial::default(), on_progress: None }
    }

    /// Goes on behind what an earlier export wrote before it was broken off.
    ///
    /// Events that were recorded since are written too. Where the earlier one had come to the receipts, and events were
    /// recorded since, [`run`](Self::run) refuses to go on: what it would write would be old.
    pub fn go_on(mut self, from: Partial) -> Self {
        self.from = from;
        self
    }

    /// Sees how far it has come, after every page.
    ///
    /// How many of each kind, the position, and where it ends.
    pub fn on_progress(mut self, see: impl FnMut(&Counts, Position, Position) + Send + 's) -> Self {
        self.on_progress = Some(Box::new(see));
        self
    }

    /// Writes; each line with one call of `write_all`.
    ///
    /// The caller sees to it that it arrives on a disk.
    ///
    /// # Errors
    ///
    /// [`MoveError::WentOn`]: begin anew; nothing was written. [`MoveError::Source`]: the earlier part is of another
    /// database, or an event is damaged (run [`Verify`](crate::read::Verify)). [`MoveError::Store`] and [`MoveError::File`]: what was written is whole, go on
    /// behind it.
    pub async fn run(mut self, out: &mut (dyn Write + Send)) -> Result<Exported, MoveError> {
        let from = std::mem::take(&mut self.from);
        let begins_at = Self::recognise(self.store, from.last_event.as_ref()).await?;
        if from.track.stage > Stage::Events && Self::goes_on_behind(self.store, begins_at.position).await? {
            return Err(MoveError::WentOn);
        }
        let mut writing = Writing { out, line: Vec::new(), track: from.track };
        if writing.track.stage == Stage::Start {
            Header::write(&mut writing.line);
            writing.end_line()?;
            writing.track.stage = Stage::Events;
        }
        let mut up_to = begins_at.position;
        if writing.track.stage == Stage::Events {
            up_to = self.store.head().await?.max(up_to);
            self.write_events(&mut writing, begins_at, up_to).await?;
            writing.track.stage = Stage::Receipts;
        }
        if writing.track.stage == Stage::Receipts {
            self.write_receipts(&mut writing, from.last_receipt, up_to).await?;
        }
        for kind in RowKind::ALL {
            if writing.track.stage <= Stage::Rows(kind) {
                let last = from.last_row.clone().filter(|row| row.kind() == kind);
                self.write_rows(&mut writing, (kind, last), up_to).await?;
            }
        }
        let (counts, digest) = (writing.track.counts, writing.track.seal.digest());
        if writing.track.stage != Stage::End {
            End::write(&mut writing.line, &counts, &digest);
            writing.end_line()?;
        }
        writing.out.flush()?;
        // In this order: what was held back is seen by the one or by the other.
        let readable = self.store.readable().await?;
        let went_on = Self::goes_on_behind(self.store, up_to).await?;
        // Where the log can be read further than this goes, whoever holds it now came later.
        let held_by = readable.kept_by().filter(|_| !went_on).map(str::to_owned);
        Ok(Exported { counts, digest, up_to, went_on, held_by })
    }

    /// Whether there are events behind a position. (The log's end may be further than its last event.)
    async fn goes_on_behind(store: &dyn TransferStore, position: Position) -> Result<bool, Error> {
        let mut is_one = false;
        let mut visit = |_: EventRef<'_>| {
            is_one = true;
            Ok(())
        };
        store.read_log(&LogQuery::all().after(position).limit(1), &mut visit).await?;
        Ok(is_one)
    }

    /// Where the last event of the earlier part stands, if it is the same.
    async fn recognise(store: &dyn TransferStore, last: Option<&RecordedEvent>) -> Result<Cursor, MoveError> {
        let Some(last) = last else { return Ok(Cursor::START) };
        let sequence = last.sequence();
        let query = StreamQuery::of(last.aggregate_id()).from_sequence(sequence).to_sequence(sequence);
        let mut found = None;
        let mut visit = |event: EventRef<'_>| {
            found = Some(event.to_recorded());
            Ok(())
        };
        store.read_stream(&query, &mut visit).await?;
        let is_same = |found: &RecordedEvent| {
            (found.checksum(), found.command_id(), found.recorded_at())
                == (last.checksum(), last.command_id(), last.recorded_at())
        };
        match found.filter(is_same) {
            Some(found) => Ok(Cursor::from(&found)),
            None => Err(MoveError::Source(format!(
                "the export that was begun is not of this database: it ends with {}, which is not there",
                name(last)
            ))),
        }
    }

    async fn write_events(
        &mut self,
        writing: &mut Writing<'_>,
        mut cursor: Cursor,
        head: Position,
    ) -> Result<(), MoveError> {
        while cursor.position < head {
            let query = LogQuery::all().after_cursor(cursor).limit(PAGE_EVENTS);
            let mut failed = None;
            let mut visit = |event: EventRef<'_>| {
                // What was recorded since the export began is for the next one.
                if event.position > head {
                    return Ok(());
                }
                writing.event(&event).map_err(|error| {
                    failed = Some(error);
                    Error::invalid("it cannot be written")
                })
            };
            let read = self.store.read_log(&query, &mut visit).await;
            if let Some(error) = failed {
                return Err(error);
            }
            let next = read?.cursor(&query);
            if next == cursor {
                break;
            }
            cursor = next;
            self.show(writing, cursor.position.min(head), head);
        }
        Ok(())
    }

    async fn write_receipts(
        &mut self,
        writing: &mut Writing<'_>,
        mut last: Option<MovedReceipt>,
        up_to: Position,
    ) -> Result<(), MoveError> {
        loop {
            let page = self.store.read_receipts(last.as_ref(), up_to, PAGE_ROWS).await?;
            for receipt in &page {
                ReceiptLine::write(&mut writing.line, receipt);
                writing.end_line()?;
                writing.track.counts.receipts += 1;
            }
            self.show(writing, up_to, up_to);
            match page.into_iter().next_back() {
                Some(receipt) => last = Some(receipt),
                None => return Ok(()),
            }
        }
    }

    async fn write_rows(
        &mut self,
        writing: &mut Writing<'_>,
        (kind, mut last): (RowKind, Option<MovedRow>),
        up_to: Position,
    ) -> Result<(), MoveError> {
        loop {
            let page = self.store.read_rows(kind, last.as_ref(), up_to, PAGE_ROWS).await?;
            for row in &page {
                write_row(&mut writing.line, row);
                writing.end_line()?;
                writing.track.counts.add(kind, 1);
            }
            self.show(writing, up_to, up_to);
            match page.into_iter().next_back() {
                Some(row) => last = Some(row),
                None => return Ok(()),
            }
        }
    }

    fn show(&mut self, writing: &Writing<'_>, position: Position, head: Position) {
        if let Some(see) = &mut self.on_progress {
            see(&writing.track.counts, position, head);
        }
    }
}

/// An export on its way to the file.
struct Writing<'w> {
    out: &'w mut (dyn Write + Send),
    line: Vec<u8>,
    track: Track,
}

impl Writing<'_> {
    fn event(&mut self, event: &EventRef<'_>) -> Result<(), MoveError> {
        if !self.track.places.is_sound(event) {
            let aggregate = AggregateName::new(event.aggregate_type, event.aggregate_id);
            return Err(MoveError::Source(format!(
                "event {} of {aggregate} is damaged: its checksum does not match",
                event.sequence
            )));
        }
        EventLine::write(&mut self.line, event);
        self.end_line()?;
        self.track.counts.events += 1;
        Ok(())
    }

    fn end_line(&mut self) -> io::Result<()> {
        self.track.seal.end(&mut self.line);
        self.track.lines += 1;
        self.out.write_all(&self.line)
    }
}

impl fmt::Debug for Export<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Export").field("store", &self.store).field("from", &self.from).finish_non_exhaustive()
    }
}
