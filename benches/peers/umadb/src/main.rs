//! UmaDB at the work of the benchmarks: its engine, embedded, and with the feature `server` its server as well.
//!
//! What stands between the server and the engine is the thread that writes, which is the engine's: it is started here as the
//! server starts it.

mod engine;
mod orders;
#[cfg(feature = "server")]
mod server;
mod store;

use std::sync::Arc;

use annals_contest::{Contender, Engine, Orders, Place, Work, async_trait};
use anyhow::Result;

use self::{engine::Embedded, orders::UmaOrders};

/// The version that Cargo.toml asks for, and no other.
const VERSION: &str = "0.7.8";

/// How orders come to the engine.
enum UmaContender {
    Embedded,
    #[cfg(feature = "server")]
    Server,
}

#[async_trait]
impl Contender for UmaContender {
    fn name(&self) -> String {
        match self {
            Self::Embedded => "umadb (embedded)".to_owned(),
            #[cfg(feature = "server")]
            Self::Server => "umadb (its server in the same process)".to_owned(),
        }
    }

    fn version(&self) -> Option<&'static str> {
        Some(VERSION)
    }

    fn engine(&self) -> Engine {
        Engine::Own
    }

    fn abstains(&self, work: Work) -> Option<&'static str> {
        match (self, work) {
            (_, Work::Together { .. }) => Some("one process has the file: others come to its server"),
            (Self::Embedded, Work::Beside) => Some("its server has subscriptions, its engine has none"),
            (_, Work::Rebuild { .. }) => Some("it has no projections"),
            _ => None,
        }
    }

    async fn open(&self, place: &Place) -> Result<Arc<dyn Orders>> {
        let directory = place.directory()?;
        Ok(match self {
            Self::Embedded => Arc::new(UmaOrders { store: Embedded::open(directory)? }),
            #[cfg(feature = "server")]
            Self::Server => Arc::new(UmaOrders { store: server::Served::open(directory).await? }),
        })
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    annals_contest::run(vec![
        Box::new(UmaContender::Embedded),
        #[cfg(feature = "server")]
        Box::new(UmaContender::Server),
    ])
    .await
}
