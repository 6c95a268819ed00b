//! Orders in SierraDB: a stream each.

use std::time::{SystemTime, UNIX_EPOCH};

use annals_contest::{Order, OrderCommand, OrderEvent, Orders, Turnovers, async_trait};
use anyhow::{Context as _, Result, bail};
use sierradb::{
    IterDirection, StreamId,
    bucket::segment::EventRecord,
    database::{Database, ExpectedVersion, NewEvent, Transaction},
    error::WriteError,
    id::{uuid_to_partition_hash, uuid_v7_with_partition_hash},
};
use smallvec::SmallVec;
use tokio::task::JoinSet;
use uuid::Uuid;

/// How often a command is run again that met another.
const TRIES: u32 = 1_000;

/// Into how many partitions streams are divided: as many as its server has where it is told nothing.
const PARTITIONS: u16 = 32;

/// How many commits are read at once.
const BATCH: usize = 1_000;

pub(crate) struct SierraOrders {
    pub(crate) database: Database,
}

impl SierraOrders {
    /// An order as it is, and the version of its last event, if there is one.
    async fn state(&self, order: Uuid) -> Result<(Order, Option<u64>)> {
        let (mut state, mut version) = (Order::default(), None);
        let from_the_first = IterDirection::Forward;
        let mut commits = self.database.read_stream(partition(order), stream(order)?, 0, from_the_first).await?;
        while let Some(batch) = commits.next_batch(BATCH).await? {
            for event in batch.into_iter().flatten() {
                state.evolve(&happened(&event)?);
                version = Some(event.stream_version);
            }
        }
        Ok((state, version))
    }
}

#[async_trait]
impl Orders for SierraOrders {
    /// The id of an event is one more handle to find it by, and not one that it is written but once under: a request's
    /// name would have no effect.
    async fn execute(&self, order: Uuid, command: &OrderCommand) -> Result<()> {
        for _ in 0..TRIES {
            let (state, version) = self.state(order).await?;
            let event = state.decide(command)?;
            let expected = version.map_or(ExpectedVersion::Empty, ExpectedVersion::Exact);
            match self.database.append_events(transaction(order, expected, [&event])?).await {
                Err(WriteError::WrongExpectedVersion { .. }) => {}
                appended => return Ok(appended.map(|_| ())?),
            }
        }
        bail!("a command met another {TRIES} times")
    }

    async fn fill(&self, order: Uuid, history: &[OrderEvent]) -> Result<()> {
        self.database.append_events(transaction(order, ExpectedVersion::Empty, history)?).await?;
        Ok(())
    }

    /// A transaction is of one partition key. Those of all orders are appended at once, so that they share what waits for
    /// the disk.
    async fn fill_all(&self, histories: &[(Uuid, Vec<OrderEvent>)]) -> Result<()> {
        let mut appends = JoinSet::new();
        for (order, history) in histories {
            let (database, events) = (self.database.clone(), transaction(*order, ExpectedVersion::Empty, history)?);
            appends.spawn(async move { database.append_events(events).await });
        }
        while let Some(appended) = appends.join_next().await {
            appended.context("a task ended badly")??;
        }
        Ok(())
    }

    async fn load(&self, order: Uuid) -> Result<Order> {
        Ok(self.state(order).await?.0)
    }

    /// There is no log of all: each partition is one.
    async fn read_log(&self) -> Result<Turnovers> {
        let mut turnovers = Turnovers::default();
        for partition in 0..PARTITIONS {
            let mut commits = self.database.read_partition(partition, 0, IterDirection::Forward).await?;
            while let Some(batch) = commits.next_batch(BATCH).await? {
                for event in batch.into_iter().flatten() {
                    turnovers.add(&happened(&event)?);
                }
            }
        }
        Ok(turnovers)
    }

    async fn close(&self) -> Result<()> {
        self.database.shutdown().await;
        Ok(())
    }
}

/// The partition of an order, whose id is its key: as its server finds it.
fn partition(order: Uuid) -> u16 {
    uuid_to_partition_hash(order) % PARTITIONS
}

fn stream(order: Uuid) -> Result<StreamId> {
    Ok(StreamId::new(format!("order-{order}"))?)
}

/// The events of an order, all of them or none. The first is expected to follow a version, and each of the others the one
/// before it.
fn transaction<'e>(
    order: Uuid,
    expected: ExpectedVersion,
    events: impl IntoIterator<Item = &'e OrderEvent>,
) -> Result<Transaction> {
    let (stream, hash) = (stream(order)?, uuid_to_partition_hash(order));
    let timestamp = u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos())?;
    let mut new = SmallVec::new();
    for event in events {
        let (name, payload) = event.encode()?;
        new.push(NewEvent {
            event_id: uuid_v7_with_partition_hash(hash),
            stream_id: stream.clone(),
            stream_version: if new.is_empty() { expected } else { ExpectedVersion::Any },
            event_name: name.to_owned(),
            timestamp,
            metadata: Vec::new(),
            payload: payload.into_bytes(),
        });
    }
    Ok(Transaction::new(order, partition(order), new)?)
}

fn happened(event: &EventRecord) -> Result<OrderEvent> {
    Ok(OrderEvent::decode(&event.event_name, str::from_utf8(&event.payload)?)?)
}
