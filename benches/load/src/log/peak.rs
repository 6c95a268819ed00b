//! The most memory that a reader needs.

use annals_contest::{Place, peak_mib};
use anyhow::{Result, ensure};

use super::{Reader, fill::EVENTS_PER_ORDER, order_log::Opened};

/// Reads the log once; gives the most memory that this process had, in MiB.
pub(super) async fn of(place: &Place, reader: Reader, orders: u64) -> Result<f64> {
    let fold = Opened::open(place, reader).await?.fold(None).await?;
    ensure!(fold.events == orders * EVENTS_PER_ORDER, "{reader} has read {} events", fold.events);
    peak_mib()
}
