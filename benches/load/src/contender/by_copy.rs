//! The limit of reading a log: COPY out, and each payload decoded.

use std::sync::Arc;

use annals_contest::{Contender, Engine, Order, OrderCommand, OrderEvent, Orders, Place, Turnovers, Work, async_trait};
use anyhow::{Context as _, Result, bail};
use futures_util::TryStreamExt as _;
use sqlx::{PgConnection, postgres::PgConnectOptions};
use tokio::sync::Mutex;
use uuid::Uuid;

use super::by_hand_on_postgres::ByHandOnPostgres;

const COPY_LOG: &str = "COPY (SELECT event_type, payload::text FROM events ORDER BY id) TO STDOUT (FORMAT binary)";

/// What stands before the first row: a signature of 11 bytes, flags and the length of an extension that nobody uses.
const HEADER_BYTES: usize = 19;

/// The rows of the loop by hand, through COPY.
#[derive(Debug, Clone, Copy)]
pub(super) struct ByCopy;

#[async_trait]
impl Contender for ByCopy {
    fn name(&self) -> String {
        "limit: COPY out".to_owned()
    }

    fn engine(&self) -> Engine {
        Engine::Postgres
    }

    fn abstains(&self, work: Work) -> Option<&'static str> {
        (!matches!(work, Work::Log { .. })).then_some("it only reads a log")
    }

    async fn open(&self, place: &Place) -> Result<Arc<dyn Orders>> {
        let by_hand = ByHandOnPostgres { connections: 4, without_pings: false }.open(place).await?;
        let options: PgConnectOptions = place.url()?.parse()?;
        let connection = sqlx::ConnectOptions::connect(&options).await?;
        Ok(Arc::new(Opened { by_hand, connection: Mutex::new(connection) }))
    }
}

struct Opened {
    by_hand: Arc<dyn Orders>,
    connection: Mutex<PgConnection>,
}

#[async_trait]
impl Orders for Opened {
    async fn execute(&self, _: Uuid, _: &OrderCommand) -> Result<()> {
        bail!("it only reads")
    }

    async fn fill(&self, order: Uuid, history: &[OrderEvent]) -> Result<()> {
        self.by_hand.fill(order, history).await
    }

    async fn fill_all(&self, histories: &[(Uuid, Vec<OrderEvent>)]) -> Result<()> {
        self.by_hand.fill_all(histories).await
    }

    async fn load(&self, order: Uuid) -> Result<Order> {
        self.by_hand.load(order).await
    }

    async fn read_log(&self) -> Result<Turnovers> {
        let mut connection = self.connection.lock().await;
        let mut rows = connection.copy_out_raw(COPY_LOG).await?;
        let (mut turnovers, mut is_first) = (Turnovers::default(), true);
        while let Some(row) = rows.try_next().await? {
            let row = if is_first { row.get(HEADER_BYTES..) } else { Some(&*row) };
            let mut row = row.context("a header is cut")?;
            is_first = false;
            // A header can come by itself, and the last row is none: -1 columns.
            if row.len() > 2 {
                take(&mut row, 2)?;
                let (event_type, payload) = (field(&mut row)?, field(&mut row)?);
                turnovers.add(&OrderEvent::decode(event_type, payload)?);
            }
        }
        Ok(turnovers)
    }

    async fn close(&self) -> Result<()> {
        self.by_hand.close().await
    }
}

fn field<'r>(row: &mut &'r [u8]) -> Result<&'r str> {
    let length = u32::from_be_bytes(take(row, 4)?.try_into()?);
    Ok(str::from_utf8(take(row, usize::try_from(length)?)?)?)
}

fn take<'r>(row: &mut &'r [u8], bytes: usize) -> Result<&'r [u8]> {
    let (taken, rest) = row.split_at_checked(bytes).context("a row is cut")?;
    *row = rest;
    Ok(taken)
}
