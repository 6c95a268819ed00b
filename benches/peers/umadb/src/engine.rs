//! The engine, and the thread that writes for it.

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
};

use annals_contest::{Seen, async_trait};
use anyhow::{Context as _, Result, anyhow, bail};
use tokio::sync::{mpsc, oneshot, watch};
use umadb_core::{
    db::UmaDb,
    mvcc::{Mvcc, StorageOptions},
    writer_thread_blocking::writer_thread_blocking,
    writer_thread_request::WriterThreadRequest,
};
use umadb_dcb::{
    DcbAppendCondition, DcbError, DcbEvent, DcbEventStoreSync as _, DcbQuery, DcbResult, DcbSequencedEvent,
};

use crate::store::Store;

/// How many appends wait at the most before whoever appends waits too, and how many events are committed at once: as in
/// its server.
const WAITING: usize = 1_024;
const COMMITTED_AT_ONCE: usize = 2_048;

pub(crate) struct Embedded {
    reader: UmaDb,
    writer: mpsc::Sender<WriterThreadRequest>,
    running: Mutex<Option<JoinHandle<()>>>,
}

impl Embedded {
    /// Opens the file in a directory, with the options that its server has where it is told nothing.
    pub(crate) fn open(directory: &Path) -> Result<Self> {
        let mvcc = Arc::new(Mvcc::new(false, StorageOptions::default().db_path(directory))?);
        let (writer, requests) = mpsc::channel(WAITING);
        let reader = UmaDb::from_arc(Arc::clone(&mvcc));
        let (head, _) = watch::channel(reader.head()?);
        let running = thread::spawn(move || writer_thread_blocking(mvcc, requests, head, COMMITTED_AT_ONCE));
        Ok(Self { reader, writer, running: Mutex::new(Some(running)) })
    }
}

/// Reads are of pages that the system has in its memory: they are not sent to other threads.
#[async_trait]
impl Store for Embedded {
    async fn read(&self, query: DcbQuery) -> DcbResult<(Vec<DcbSequencedEvent>, Option<u64>)> {
        self.reader.read(Some(query), None, false, None)?.collect_with_head()
    }

    async fn read_from(&self, position: u64, limit: u32) -> DcbResult<Vec<DcbSequencedEvent>> {
        Ok(self.reader.read(None, Some(position), false, Some(limit))?.collect_with_head()?.0)
    }

    async fn append(&self, events: Vec<DcbEvent>, condition: DcbAppendCondition) -> DcbResult<u64> {
        let (response_tx, response) = oneshot::channel();
        let request = WriterThreadRequest::Append {
            events,
            condition: Some(condition),
            tracking_info: None,
            response_tx,
            cancel: None,
        };
        let ended = || DcbError::InternalError("the thread that writes has ended".to_owned());
        self.writer.send(request).await.map_err(|_| ended())?;
        response.await.map_err(|_| ended())?
    }

    async fn subscribe(&self, _: Seen) -> Result<()> {
        bail!("the engine has no subscriptions")
    }

    /// Ends the thread that writes.
    async fn close(&self) -> Result<()> {
        self.writer.send(WriterThreadRequest::Shutdown).await.context("the thread that writes has ended")?;
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(running) = running {
            let ended = tokio::task::spawn_blocking(move || running.join()).await?;
            ended.map_err(|_| anyhow!("the thread that writes ended badly"))?;
        }
        Ok(())
    }
}
