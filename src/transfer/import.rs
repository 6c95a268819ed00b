//! Into a database.

use std::{
    fmt,
    io::{BufReader, Read},
    thread,
    time::{Duration, Instant},
};

use backon::{BackoffBuilder as _, ExponentialBuilder};
use tokio::sync::mpsc;

use super::{
    Counts, MoveError, Refusal,
    error::name,
    lines::{Item, Lines},
};
use crate::store::{
    Error, Limits, Misfit, MovedCheckpoint, MovedReceipt, MovedRow, Position, ReceiptOutcome, RecordedEvent, RowKind,
    TransferError, TransferStore, Written,
};

/// The most rows of one commit.
const BATCH_ROWS: usize = 1_000;
/// The bytes of one commit; the row that goes beyond is its last.
const BATCH_BYTES: usize = 4 << 20;
/// How many batches are read ahead of the one that is written.
const BATCHES_AHEAD: usize = 2;
/// The bytes that are read from the input at once.
const READ_BYTES: usize = 256 << 10;
/// The most names of subscriptions whose checkpoints were left as they are.
const MOST_LEFT_NAMES: usize = 10;
/// The checkpoints that are read at once, to see which were left.
const LEFT_ROWS: u32 = 1_000;
/// Behind every position that is drawn.
const LAST_POSITION: Position = Position::new(i64::MAX.unsigned_abs());
/// How long a batch is sent again where the database is busy, or cannot be reached.
const PATIENCE: Duration = Duration::from_secs(30);

/// Reads what [`Export`](super::Export) wrote into a store.
///
/// Events come to the end of the log, in their order and with their times, command ids and checksums; positions are drawn
/// anew. What is there already, the same byte by byte, is passed over: it may be broken off at any point and run again, and
/// two at once do no harm. Others may write meanwhile.
///
/// A line that was changed, left out, doubled or moved is refused before anything of it is written, and so is an event in whose
/// place another stands. What came before it was written.
///
/// Let nobody send commands to the moved aggregates, or start a subscription or timer, before the last import has ended:
/// receipts come behind the events, and a retry that does not find its receipt is a new request.
///
/// While the old database is in use, import [events and receipts alone](Self::events_only): what subscriptions, timers and
/// the inbox know changes there, and what is gone there would come back. The last import, of an export of a database that
/// nobody writes to any more, takes all.
///
/// ```
/// # async fn example(store: annals::SqliteStore) -> Result<(), Box<dyn std::error::Error>> {
/// use annals::transfer::Import;
///
/// let imported = Import::new(&store).run(std::fs::File::open("shop.jsonl")?).await?;
/// println!("{} events are new", imported.new.events);
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing is read before it is run"]
pub struct Import<'s> {
    store: &'s dyn TransferStore,
    limits: Limits,
    events_only: bool,
    on_progress: Option<OnProgress<'s>>,
}

type OnProgress<'s> = Box<dyn FnMut(&Imported) + Send + 's>;

/// Says what was imported.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Imported {
    /// What was written.
    pub new: Counts,
    /// What was there already.
    pub present: Counts,
    /// Checkpoints that stand elsewhere here, and were left as they are.
    ///
    /// The consumer was run here or stands further on, has another number of partitions, is a projection here, or its event
    /// is not here.
    pub left_checkpoints: u64,
    /// The subscriptions they are of, by name: 10 at the most.
    ///
    /// Those of one commit in their order.
    pub left_subscriptions: Vec<String>,
}

impl Imported {
    const fn add_events(&mut self, written: Written) {
        self.new.events += written.new;
        self.present.events += written.present;
    }

    const fn add_receipts(&mut self, written: Written) {
        self.new.receipts += written.new;
        self.present.receipts += written.present;
    }

    const fn add_rows(&mut self, kind: RowKind, written: Written) {
        self.new.add(kind, written.new);
        self.present.add(kind, written.present);
    }

    /// Counts those that were taken for present, and stand elsewhere.
    fn add_left(&mut self, names: &[&str]) {
        self.left_checkpoints += names.len() as u64;
        self.present.checkpoints = self.present.checkpoints.saturating_sub(names.len() as u64);
        for name in names {
            let is_full = self.left_subscriptions.len() >= MOST_LEFT_NAMES;
            if !is_full && !self.left_subscriptions.iter().any(|known| known == name) {
                self.left_subscriptions.push((*name).to_owned());
            }
        }
    }
}

/// Checks an export from its first line to its last, without a database.
///
/// Tells how many of each kind are in it.
///
/// # Errors
///
/// [`MoveError::Refused`]: the file is not what was exported; [`MoveError::File`].
pub fn check(input: impl Read, limits: &Limits) -> Result<Counts, MoveError> {
    let mut lines = Lines::new(BufReader::with_capacity(READ_BYTES, input), limits);
    while lines.next()?.is_some() {}
    Ok(lines.counts())
}

impl<'s> Import<'s> {
    /// Prepares an import into a store.
    pub fn new(store: &'s dyn TransferStore) -> Self {
        Self { store, limits: Limits::default(), events_only: false, on_progress: None }
    }

    /// Reads lines as long as stores with these bounds can have.
    ///
    /// Default: [`Limits::default`].
    pub const fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Takes events and receipts alone.
    ///
    /// What subscriptions, timers and the inbox know is passed over. For all imports but the last. Every line is checked all the same.
    pub const fn events_only(mut self) -> Self {
        self.events_only = true;
        self
    }

    /// Sees what was imported so far, after every commit.
    pub fn on_progress(mut self, see: impl FnMut(&Imported) + Send + 's) -> Self {
        self.on_progress = Some(Box::new(see));
        self
    }

    /// Imports.
    ///
    /// The input is read by a thread of its own.
    ///
    /// # Errors
    ///
    /// [`MoveError::Refused`], with the line: what came before it was written. Others: what was written is whole, import the
    /// same again.
    pub async fn run(mut self, input: impl Read + Send + 'static) -> Result<Imported, MoveError> {
        let (sender, mut batches) = mpsc::channel(BATCHES_AHEAD);
        let (limits, events_only) = (self.limits, self.events_only);
        // Not one of the runtime's: that would wait for it at its end, however long the input does.
        thread::Builder::new().name("annals-import".to_owned()).spawn(move || {
            let mut lines = Lines::new(BufReader::with_capacity(READ_BYTES, input), &limits);
            let read = send_batches(&mut lines, events_only, &sender);
            if let Err(error) = read {
                // Nobody listens where the import has ended.
                drop(sender.blocking_send(Err(error)));
            } else {
                drop(sender.blocking_send(Ok(None)));
            }
        })?;
        let mut imported = Imported::default();
        while let Some(batch) = batches.recv().await {
            let Some(batch) = batch? else { return Ok(imported) };
            Self::write(self.store, &batch, &mut imported).await?;
            if let Rows::Others(RowKind::Checkpoint, rows) = &batch.rows {
                imported.add_left(&left(self.store, rows).await?);
            }
            if let Some(see) = &mut self.on_progress {
                see(&imported);
            }
        }
        Err(MoveError::File(std::io::Error::other("whoever read the input has ended")))
    }

    async fn write(store: &dyn TransferStore, batch: &Batch, imported: &mut Imported) -> Result<(), MoveError> {
        let began = Instant::now();
        let mut pauses = ExponentialBuilder::default().with_jitter().without_max_times().build();
        loop {
            let written = match &batch.rows {
                Rows::Events(events) => store.write_events(events).await,
                Rows::Receipts(receipts) => store.write_receipts(receipts).await,
                Rows::Others(kind, rows) => store.write_rows(*kind, rows).await,
            };
            match (written, &batch.rows) {
                (Ok(written), Rows::Events(_)) => imported.add_events(written),
                (Ok(written), Rows::Receipts(_)) => imported.add_receipts(written),
                (Ok(written), Rows::Others(kind, _)) => imported.add_rows(*kind, written),
                (Err(TransferError::Misfit(misfit)), _) => return Err(batch.refused(misfit)),
                (Err(TransferError::Store(error)), _) => {
                    let pause = pauses.next().filter(|_| is_passing(&error) && began.elapsed() < PATIENCE);
                    let Some(pause) = pause else { return Err(error.into()) };
                    tokio::time::sleep(pause).await;
                    continue;
                }
            }
            return Ok(());
        }
    }
}

/// The names of those checkpoints that do not stand here where they should.
async fn left<'r>(store: &dyn TransferStore, rows: &'r [MovedRow]) -> Result<Vec<&'r str>, Error> {
    let mut missing: Vec<_> = rows.iter().filter_map(checkpoint).collect();
    let mut last = None;
    while !missing.is_empty() {
        let page = store.read_rows(RowKind::Checkpoint, last.as_ref(), LAST_POSITION, LEFT_ROWS).await?;
        for found in page.iter().filter_map(checkpoint) {
            missing.retain(|row| !stands_at(found, row));
        }
        match page.into_iter().next_back() {
            Some(row) => last = Some(row),
            None => break,
        }
    }
    Ok(missing.into_iter().map(|row| row.name.as_str()).collect())
}

const fn checkpoint(row: &MovedRow) -> Option<&MovedCheckpoint> {
    if let MovedRow::Checkpoint(row) = row { Some(row) } else { None }
}

/// Whether a checkpoint stands where another does, at the same event.
fn stands_at(found: &MovedCheckpoint, moved: &MovedCheckpoint) -> bool {
    (&found.name, found.partition, found.partitions) == (&moved.name, moved.partition, moved.partitions)
        && (found.aggregate_id, found.sequence, found.command_id)
            == (moved.aggregate_id, moved.sequence, moved.command_id)
}

/// Whether the same batch may be sent again: what was written of it then is passed over.
const fn is_passing(error: &Error) -> bool {
    error.is_retryable() || error.is_outcome_unknown()
}

/// What goes with one commit. Its lines stand one after another.
struct Batch {
    first_line: u64,
    rows: Rows,
}

enum Rows {
    Events(Vec<RecordedEvent>),
    Receipts(Vec<MovedReceipt>),
    Others(RowKind, Vec<MovedRow>),
}

impl Batch {
    fn refused(&self, misfit: Misfit) -> MoveError {
        let what = match &self.rows {
            Rows::Events(events) => events.get(misfit.index).map(name),
            Rows::Receipts(receipts) => receipts.get(misfit.index).map(|moved| {
                format!("the receipt of command {} at aggregate {}", moved.receipt.command_id, moved.aggregate_id)
            }),
            Rows::Others(kind, _) => Some(kind.as_str().replace('_', " ")),
        };
        MoveError::Refused { line: self.first_line + misfit.index as u64, what, refusal: Refusal::Misfit(misfit.kind) }
    }

    fn len(&self) -> usize {
        match &self.rows {
            Rows::Events(events) => events.len(),
            Rows::Receipts(receipts) => receipts.len(),
            Rows::Others(_, rows) => rows.len(),
        }
    }

    /// Adds a row of the same kind; gives back one of another.
    fn add(&mut self, item: Item) -> Option<Item> {
        match (&mut self.rows, item) {
            (Rows::Events(events), Item::Event(event)) => events.push(event),
            (Rows::Receipts(receipts), Item::Receipt(receipt)) => receipts.push(receipt),
            (Rows::Others(kind, rows), Item::Row(row)) if *kind == row.kind() => rows.push(row),
            (_, item) => return Some(item),
        }
        None
    }

    fn begin(first_line: u64, item: Item) -> Self {
        let rows = match item {
            Item::Event(event) => Rows::Events(vec![event]),
            Item::Receipt(receipt) => Rows::Receipts(vec![receipt]),
            Item::Row(row) => Rows::Others(row.kind(), vec![row]),
        };
        Self { first_line, rows }
    }
}

fn bytes(item: &Item) -> usize {
    match item {
        Item::Event(event) => event.payload().len() + event.as_ref().metadata.len(),
        Item::Row(MovedRow::Timer(timer)) => timer.payload.as_ref().map_or(0, String::len),
        Item::Receipt(moved) => match &moved.receipt.outcome {
            ReceiptOutcome::Rejected { rejection } => rejection.len(),
            ReceiptOutcome::Accepted => 0,
        },
        Item::Row(_) => 0,
    }
}

type Sender = mpsc::Sender<Result<Option<Batch>, MoveError>>;

/// Reads the input and sends what belongs into one commit, until it has come to an end or nobody listens.
fn send_batches<R: std::io::BufRead>(
    lines: &mut Lines<R>,
    events_only: bool,
    sender: &Sender,
) -> Result<(), MoveError> {
    let (mut batch, mut held): (Option<Batch>, usize) = (None, 0);
    loop {
        let next = lines.next();
        let is_full = batch.as_ref().is_some_and(|batch| batch.len() >= BATCH_ROWS) || held >= BATCH_BYTES;
        // Also before an error: what stands before it is sound.
        if (is_full || !matches!(next, Ok(Some(_)))) && send(sender, &mut batch, &mut held).is_err() {
            return Ok(());
        }
        let Some((line, item)) = next? else { return Ok(()) };
        if events_only && matches!(item, Item::Row(_)) {
            continue;
        }
        held += bytes(&item);
        let other = match &mut batch {
            Some(batch) => batch.add(item),
            None => Some(item),
        };
        if let Some(item) = other {
            let size = bytes(&item);
            if send(sender, &mut batch, &mut held).is_err() {
                return Ok(());
            }
            (batch, held) = (Some(Batch::begin(line, item)), size);
        }
    }
}

/// Sends a batch on; an error where nobody listens.
fn send(sender: &Sender, batch: &mut Option<Batch>, held: &mut usize) -> Result<(), ()> {
    *held = 0;
    batch.take().map_or(Ok(()), |batch| sender.blocking_send(Ok(Some(batch))).map_err(drop))
}

impl fmt::Debug for Import<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Import").field("store", &self.store).finish_non_exhaustive()
    }
}
