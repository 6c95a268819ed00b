//! Its server, on a free port of the loopback, and its client.

use std::{
    net::{Ipv4Addr, TcpListener},
    path::Path,
    sync::{Mutex, PoisonError},
    thread::{self, JoinHandle},
};

use annals_contest::{Seen, async_trait};
use anyhow::{Context as _, Result, anyhow};
use futures::StreamExt as _;
use tokio::sync::oneshot;
use umadb_client::{AsyncUmaDbClient, UmaDbClient};
use umadb_dcb::{DcbAppendCondition, DcbEvent, DcbEventStoreAsync as _, DcbQuery, DcbResult, DcbSequencedEvent};
use umadb_server::{ServerOptions, StorageOptions, start_server_with_options};
use uuid::Uuid;

use crate::{
    orders::{PREFIX, happened},
    store::Store,
};

pub(crate) struct Served {
    client: AsyncUmaDbClient,
    running: Mutex<Option<Running>>,
}

struct Running {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<Result<()>>,
}

impl Served {
    /// Starts the server, in a runtime of its own as its program has one, and connects to it.
    pub(crate) async fn open(directory: &Path) -> Result<Self> {
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.to_string();
        let (stop, stopped) = oneshot::channel();
        let storage = StorageOptions::default().db_path(directory);
        let options = ServerOptions { listen_addr: address.clone(), tls: None, api_key: None, storage };
        let thread = thread::spawn(move || {
            let served = async { start_server_with_options(options, stopped).await.map_err(|e| anyhow!("{e}")) };
            tokio::runtime::Runtime::new()?.block_on(served)
        });
        let client = UmaDbClient::new(format!("http://{address}")).connect_async().await?;
        Ok(Self { client, running: Mutex::new(Some(Running { stop, thread })) })
    }
}

#[async_trait]
impl Store for Served {
    async fn read(&self, query: DcbQuery) -> DcbResult<(Vec<DcbSequencedEvent>, Option<u64>)> {
        self.client.read_with_head(Some(query), None, false, None).await
    }

    async fn read_from(&self, position: u64, limit: u32) -> DcbResult<Vec<DcbSequencedEvent>> {
        Ok(self.client.read_with_head(None, Some(position), false, Some(limit)).await?.0)
    }

    async fn append(&self, events: Vec<DcbEvent>, condition: DcbAppendCondition) -> DcbResult<u64> {
        self.client.append(events, Some(condition), None).await
    }

    async fn subscribe(&self, seen: Seen) -> Result<()> {
        let mut subscription = self.client.subscribe(None, None).await?;
        tokio::spawn(async move {
            while let Some(found) = subscription.next().await {
                let event = found?.event;
                let order =
                    event.tags.iter().find_map(|tag| tag.strip_prefix(PREFIX)).context("an event has no order")?;
                seen(Uuid::parse_str(order)?, &happened(&event)?);
            }
            anyhow::Ok(())
        });
        Ok(())
    }

    async fn close(&self) -> Result<()> {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(Running { stop, thread }) = running else { return Ok(()) };
        stop.send(()).map_err(|()| anyhow!("the server has ended"))?;
        tokio::task::spawn_blocking(move || thread.join()).await?.map_err(|_| anyhow!("the server ended badly"))?
    }
}
