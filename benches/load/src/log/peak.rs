//! The most memory that a reader needs.

use std::fs;

use annals_contest::Place;
use anyhow::{Context as _, Result, ensure};

use super::{Reader, fill::EVENTS_PER_ORDER, order_log::Opened};

/// Reads the log once; gives the most memory that this process had, in MiB.
pub(super) async fn of(place: &Place, reader: Reader, orders: u64) -> Result<f64> {
    let fold = Opened::open(place, reader).await?.fold(None).await?;
    ensure!(fold.events == orders * EVENTS_PER_ORDER, "{reader} has read {} events", fold.events);
    high_water_mib()
}

/// Of this program since it began. The kernel's count for a whole process can be that of whoever started it.
fn high_water_mib() -> Result<f64> {
    let status = fs::read_to_string("/proc/self/status").context("the peak of memory is known on Linux only")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("there is no VmHWM")?;
    let kibibytes: f64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kibibytes / 1_024.0)
}
