//! What orders need of UmaDB, whichever way it is reached.

use annals_contest::{Seen, async_trait};
use anyhow::Result;
use umadb_dcb::{DcbAppendCondition, DcbEvent, DcbQuery, DcbResult, DcbSequencedEvent};

#[async_trait]
pub(crate) trait Store: Send + Sync {
    /// The events of a query, and the position of the last event of all that there was as they were read.
    async fn read(&self, query: DcbQuery) -> DcbResult<(Vec<DcbSequencedEvent>, Option<u64>)>;

    /// So many events at the most, from a position on.
    async fn read_from(&self, position: u64, limit: u32) -> DcbResult<Vec<DcbSequencedEvent>>;

    /// Appends events, and returns when they are on the disk.
    async fn append(&self, events: Vec<DcbEvent>, condition: DcbAppendCondition) -> DcbResult<u64>;

    /// Starts a subscription to all events.
    async fn subscribe(&self, seen: Seen) -> Result<()>;

    async fn close(&self) -> Result<()>;
}
