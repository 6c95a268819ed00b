//! UmaDB at the work of the benchmarks: its engine, embedded, without the gRPC that its server puts before it.
//!
//! The server would need `protoc` where it is compiled. What stands between it and the engine is the thread that writes,
//! which is the engine's: it is started here as the server starts it.

mod engine;
mod orders;

use std::sync::Arc;

use annals_contest::{Contender, Engine, Orders, Place, Work, async_trait};
use anyhow::Result;

use self::{engine::Uma, orders::UmaOrders};

/// The version that Cargo.toml asks for, and no other.
const VERSION: &str = "0.7.8";

struct UmaContender;

#[async_trait]
impl Contender for UmaContender {
    fn name(&self) -> String {
        "umadb, embedded".to_owned()
    }

    fn version(&self) -> Option<&'static str> {
        Some(VERSION)
    }

    fn engine(&self) -> Engine {
        Engine::Own
    }

    fn abstains(&self, work: Work) -> Option<&'static str> {
        match work {
            Work::Together { .. } => Some("one process has the file: others come to its server"),
            Work::Beside => Some("its server has subscriptions, its engine has none"),
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
        Ok(Arc::new(UmaOrders { uma: Uma::open(place.directory()?)? }))
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    annals_contest::run(vec![Box::new(UmaContender)]).await
}
