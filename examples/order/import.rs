//! Real orders: every invoice an order, every line a command, each executed once however often the file comes in.
//!
//! ```text
//!                      ┌─▶ worker: execute, execute, …
//! file ─▶ rows ─▶ by order ─▶ worker: execute, execute, …
//!                      └─▶ worker: execute, execute, …
//! ```
//!
//! One thread reads the file and deals its rows out by order, so all lines of an order reach one worker, in the file's
//! order. Workers never meet at an order, and how many there are changes the time it takes and nothing else. The queues
//! between them are short: memory does not grow with the file.
//!
//! There is no code here for files that were imported before, for lines that come twice, or for what was under way when
//! the process was killed. The key of a line is the hash of its content; the rest is the store's work.

use std::{ops::AddAssign, path::PathBuf, sync::Arc};

use annals::{EventStore, ExecuteError, Fingerprint, Id, IdempotencyKey, Metadata, Repository};
use serde::Serialize;
use tokio::{
    sync::mpsc,
    task::{JoinError, JoinSet},
};

use crate::{
    domain::{Order, OrderCommand, OrderRejection},
    file::{FileError, Rows},
    progress::Progress,
    row::Row,
};

/// The most rows that wait for one worker.
const QUEUE_ROWS: usize = 64;

/// What is to be imported, and how.
#[derive(Debug, Clone)]
pub struct Import {
    pub file: PathBuf,
    /// How many tasks execute commands.
    pub workers: u16,
    /// How often the file is taken, each time for orders of their own.
    pub copies: u16,
}

/// Counts what one run did. Each line that was read is in exactly one of the next four.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    pub lines_read: u64,
    /// Not executed, since the row could not be read.
    pub lines_malformed: u64,
    /// Executed now, and accepted.
    pub commands_accepted: u64,
    /// Executed earlier: answered from their receipts.
    pub commands_replayed: u64,
    /// Executed now, and rejected by the order.
    pub commands_rejected: u64,
    pub events_recorded: u64,
}

/// Why an import stopped. Run it again: it goes on where it stopped.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error("{}", path.display())]
    File { path: PathBuf, source: FileError },
    #[error("line {line}, of invoice {invoice}, was not executed")]
    Execute { line: u64, invoice: String, source: ExecuteError<OrderRejection> },
    #[error("the key of a line was refused")]
    Key(#[from] annals::Error),
    #[error("a part of the import broke")]
    Broken(#[from] JoinError),
}

/// A row on its way to a worker.
struct Job {
    order: Id<Order>,
    number: u64,
    row: Row,
}

impl Import {
    /// Runs to the end of the file, or to the first failure of the database.
    pub async fn run(self, store: &Arc<dyn EventStore>) -> Result<Counts, ImportError> {
        let bytes = std::fs::metadata(&self.file).map_or(0, |metadata| metadata.len());
        let progress = Arc::new(Progress::of(bytes * u64::from(self.copies)));
        let orders = Repository::<Order>::new(store);
        let mut tasks = JoinSet::new();
        let mut queues = Vec::new();
        for _ in 0..self.workers {
            let (queue, jobs) = mpsc::channel(QUEUE_ROWS);
            queues.push(queue);
            tasks.spawn(work(orders.clone(), jobs, Arc::clone(&progress)));
        }
        let reader = Arc::clone(&progress);
        tasks.spawn_blocking(move || self.deal(&queues, &reader));

        let counts = sum(tasks).await;
        progress.finish();
        counts
    }

    /// Reads the file and deals its rows out.
    fn deal(self, queues: &[mpsc::Sender<Job>], progress: &Progress) -> Result<Counts, ImportError> {
        let unreadable = |source| ImportError::File { path: self.file.clone(), source };
        let mut counts = Counts::default();
        for copy in 1..=self.copies {
            let mut rows = Rows::open(&self.file, |file| progress.watch(file)).map_err(unreadable)?;
            while let Some((number, row)) = rows.next_row().map_err(unreadable)? {
                counts.lines_read += 1;
                match row {
                    Ok(row) => {
                        let job = Job::new(number, row, copy);
                        if queues[job.worker_of(queues.len())].blocking_send(job).is_err() {
                            // The worker has failed, and will say why.
                            return Ok(counts);
                        }
                    }
                    Err(malformed) => {
                        counts.lines_malformed += 1;
                        // The same in every copy: once is enough.
                        if copy == 1 {
                            progress.complain(number, &malformed);
                        }
                    }
                }
            }
        }
        Ok(counts)
    }
}

impl Job {
    /// Makes a row of a later copy one of another invoice, hence of another order.
    fn new(number: u64, mut row: Row, copy: u16) -> Self {
        if copy > 1 {
            row.header.invoice += &format!("#{copy}");
        }
        Self { order: Id::natural(&row.header.invoice), number, row }
    }

    /// Which of up to 256 workers it is for: the same for every line of an order.
    fn worker_of(&self, workers: usize) -> usize {
        usize::from(self.order.uuid().as_bytes()[15]) % workers
    }
}

/// Waits for all parts, or for the first that fails: the others are dropped then, in the middle of whatever they do.
async fn sum(mut parts: JoinSet<Result<Counts, ImportError>>) -> Result<Counts, ImportError> {
    let mut counts = Counts::default();
    while let Some(part) = parts.join_next().await {
        counts += part??;
    }
    Ok(counts)
}

/// Executes one row after another.
async fn work(
    orders: Repository<Order>,
    mut jobs: mpsc::Receiver<Job>,
    progress: Arc<Progress>,
) -> Result<Counts, ImportError> {
    let mut counts = Counts::default();
    while let Some(Job { order, number, row: Row { content, header, line } }) = jobs.recv().await {
        let invoice = header.invoice.clone();
        let done = orders
            .execute(order, &OrderCommand::TakeInvoiceLine { header, line })
            .idempotency_key(key_of(&content)?)
            // The request is the line as it stands in the file, whatever commands look like in later versions.
            .fingerprint(content)
            .metadata(Metadata::new().actor("import").with("line", number))
            .await;

        match done {
            Ok(done) if done.replayed => counts.commands_replayed += 1,
            Ok(done) => {
                counts.commands_accepted += 1;
                counts.events_recorded += done.events();
            }
            Err(ExecuteError::Rejected { rejection, replayed }) => {
                *(if replayed { &mut counts.commands_replayed } else { &mut counts.commands_rejected }) += 1;
                progress.complain(number, &format_args!("rejected: {rejection}"));
            }
            Err(source) => return Err(ImportError::Execute { line: number, invoice, source }),
        }
    }
    Ok(counts)
}

/// Names a line by its content: 64 hexadecimal digits.
fn key_of(content: &Fingerprint) -> Result<IdempotencyKey, annals::Error> {
    IdempotencyKey::new(content.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}

impl AddAssign for Counts {
    fn add_assign(&mut self, part: Self) {
        self.lines_read += part.lines_read;
        self.lines_malformed += part.lines_malformed;
        self.commands_accepted += part.commands_accepted;
        self.commands_replayed += part.commands_replayed;
        self.commands_rejected += part.commands_rejected;
        self.events_recorded += part.events_recorded;
    }
}
