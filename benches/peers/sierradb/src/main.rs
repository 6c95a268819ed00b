//! SierraDB at the work of the benchmarks: its engine, embedded.

mod orders;

use std::{sync::Arc, time::Duration};

use annals_contest::{Contender, Engine, Orders, Place, Work, async_trait};
use anyhow::Result;
use sierradb::database::DatabaseBuilder;

use self::orders::SierraOrders;

/// The version that Cargo.toml asks for, and no other.
const VERSION: &str = "0.3.1";

/// When it sends what was appended to the disk. Either way an append returns when it is there.
enum Sync {
    /// As each is appended: with no interval, none waits for others.
    Each,
    /// At its defaults: when 4 KiB or 50 events wait, or at a tick, of 5 ms where it writes and of 50 ms where it rests.
    Groups,
}

struct SierraContender {
    sync: Sync,
}

#[async_trait]
impl Contender for SierraContender {
    fn name(&self) -> String {
        match self.sync {
            Sync::Each => "sierradb (fsync at each append)".to_owned(),
            Sync::Groups => "sierradb (its default: fsync in groups)".to_owned(),
        }
    }

    fn version(&self) -> Option<&'static str> {
        Some(VERSION)
    }

    fn engine(&self) -> Engine {
        Engine::Own
    }

    fn abstains(&self, work: Work) -> Option<&'static str> {
        match work {
            Work::Together { .. } => Some("its engine is embedded: one process has the files"),
            Work::Beside => Some("its server has subscriptions, its engine has none"),
            Work::Rebuild { .. } => Some("it has no projections"),
            Work::New { .. }
            | Work::Lifecycle { .. }
            | Work::Contended
            | Work::Load { .. }
            | Work::Among { .. }
            | Work::Bulk
            | Work::Log { .. }
            | Work::LostReply => None,
        }
    }

    async fn open(&self, place: &Place) -> Result<Arc<dyn Orders>> {
        let mut builder = DatabaseBuilder::new();
        if matches!(self.sync, Sync::Each) {
            builder.sync_interval(Duration::ZERO);
        }
        Ok(Arc::new(SierraOrders { database: builder.open(place.directory()?)? }))
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let contenders = [Sync::Each, Sync::Groups].map(|sync| Box::new(SierraContender { sync }) as Box<dyn Contender>);
    annals_contest::run(contenders.into()).await
}
