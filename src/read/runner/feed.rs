//! The log, read ahead of whoever handles it.

use tokio::sync::mpsc;

use super::signal::Task;
use crate::store::{Consumer, Cursor, Error, EventRef, EventStore, LogQuery, RecordedEvent, Selection};

/// The most events of a page.
pub(in crate::read) const PAGE_EVENTS: usize = 1_000;

/// The most bytes of payloads and metadata in a page, but for its last event.
const PAGE_BYTES: usize = 4 << 20;

/// How many pages wait, besides the one that is being read and the one that is being handled.
const PAGES_AHEAD: usize = 1;

/// What to read.
#[derive(Debug, Clone)]
pub(in crate::read) struct Wanted {
    /// Whose part of the aggregates; `None`: all of them.
    pub(in crate::read) part: Option<Consumer>,
    pub(in crate::read) selection: Selection,
    /// Where to begin.
    pub(in crate::read) after: Cursor,
    /// Where to end; `None`: never.
    pub(in crate::read) up_to: Option<Cursor>,
}

/// Events in a row.
#[derive(Debug)]
pub(in crate::read) struct Page {
    /// Those that were chosen.
    pub(in crate::read) events: Vec<RecordedEvent>,
    /// Everything chosen up to here is in this page or an earlier one.
    pub(in crate::read) end: Cursor,
}

/// Gives pages in their order: those that are there, then those that come, without a seam.
#[derive(Debug)]
pub(in crate::read) struct Feed {
    pages: mpsc::Receiver<Result<Page, Error>>,
    _reader: Task,
}

impl Feed {
    pub(in crate::read) fn start<S: EventStore + Clone + 'static>(store: &S, wanted: Wanted) -> Self {
        let (sender, pages) = mpsc::channel(PAGES_AHEAD);
        let store = store.clone();
        let reader = Task::spawn(async move {
            if let Err(error) = read(&store, wanted, &sender).await {
                // Nobody is there to be told where the runner has ended.
                drop(sender.send(Err(error)).await);
            }
        });
        Self { pages, _reader: reader }
    }

    /// The next page; `None` behind the last one.
    pub(in crate::read) async fn next(&mut self) -> Option<Result<Page, Error>> {
        self.pages.recv().await
    }
}

/// Reads until the end that was set, or until nobody takes pages any more.
async fn read<S: EventStore>(
    store: &S,
    mut wanted: Wanted,
    sender: &mpsc::Sender<Result<Page, Error>>,
) -> Result<(), Error> {
    let up_to = wanted.up_to;
    let is_reached = |at: Cursor| up_to.is_some_and(|end| at.position >= end.position);
    if is_reached(wanted.after) {
        // Nothing is to be read, but whether the log is still the same is looked at all the same.
        return store.read_log(&LogQuery::all().after_cursor(wanted.after).limit(0), &mut |_| Ok(())).await.map(drop);
    }
    while !is_reached(wanted.after) {
        let (page, is_last) = read_page(store, &wanted).await?;
        let page_end = page.end;
        let has_moved = page_end.position > wanted.after.position;
        wanted.after = page_end;
        if has_moved && sender.send(Ok(page)).await.is_err() {
            return Ok(());
        }
        if is_last && !is_reached(page_end) {
            store.wait_for(page_end.position).await?;
        }
    }
    Ok(())
}

/// Reads one page, and tells whether it was the last there is.
async fn read_page<S: EventStore>(store: &S, wanted: &Wanted) -> Result<(Page, bool), Error> {
    let query = LogQuery::all().after_cursor(wanted.after).select(wanted.selection.clone()).limit(PAGE_EVENTS as u64);
    let mut page = Page { events: Vec::new(), end: wanted.after };
    let (mut bytes, mut visited, mut cut) = (0, 0, None);
    let visit = &mut |event: EventRef<'_>| {
        if wanted.up_to.is_some_and(|end| event.position > end.position) {
            cut = Some(Cut::AtEnd);
        } else if bytes > PAGE_BYTES {
            cut = Some(Cut::Full);
        }
        if cut.is_some() {
            return Err(Error::invalid("the page ends here"));
        }
        (visited, page.end) = (visited + 1, Cursor::from(&event));
        if wanted.part.as_ref().is_none_or(|part| part.has(event.aggregate_id)) {
            bytes += event.payload.len() + event.metadata.len();
            page.events.push(event.to_recorded());
        }
        Ok(())
    };
    match (store.read_log(&query, visit).await, cut) {
        (Ok(read), _) => page.end = read.cursor(&query),
        (Err(_), Some(Cut::Full)) => {}
        (Err(_), Some(Cut::AtEnd)) => page.end = wanted.up_to.unwrap_or(page.end),
        (Err(error), None) => return Err(error),
    }
    // With a selection a read comes as far as the log goes.
    if let Some(end) = wanted.up_to.filter(|end| page.end.position > end.position) {
        page.end = end;
    }
    Ok((page, cut.is_none() && visited < PAGE_EVENTS))
}

/// Why a page was ended early.
#[derive(Debug, Clone, Copy)]
enum Cut {
    /// What follows stands behind the end that was set.
    AtEnd,
    /// It has enough bytes.
    Full,
}
