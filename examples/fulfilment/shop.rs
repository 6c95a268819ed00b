//! The shop's database, by what is asked of it.

use std::sync::Arc;

use annals::{
    Clock, Error, EventStore, IdempotencyKey, Repository,
    store::{Auditable, CallQuery, KeyStore},
};

use crate::{
    answer::{AnyError, Done},
    database::Database,
    fulfilment::{order_id, shipment_id, stock_id},
    order::{Order, OrderCommand, Placed},
    payments::CLIENT,
    shipment::{Shipment, ShipmentCommand},
    stock::{Stock, StockCommand},
};

/// An open database, and what people in the shop do with it.
#[derive(Debug, Clone)]
pub struct Shop {
    pub database: Database,
    pub events: Arc<dyn EventStore>,
    pub auditable: Arc<dyn Auditable>,
    pub keys: Arc<dyn KeyStore>,
    orders: Repository<Order>,
    stock: Repository<Stock>,
    shipments: Repository<Shipment>,
}

impl Shop {
    pub async fn open(url: &str, clock: Option<Arc<dyn Clock>>) -> Result<Self, AnyError> {
        Ok(match Database::open(url, clock).await? {
            Database::Sqlite(store) => Self::of(Database::Sqlite(store.clone()), store),
            #[cfg(feature = "postgres")]
            Database::Postgres(store) => Self::of(Database::Postgres(store.clone()), store),
        })
    }

    fn of(database: Database, store: impl EventStore + Auditable + KeyStore + Clone + 'static) -> Self {
        Self {
            orders: Repository::new(&store),
            stock: Repository::new(&store),
            shipments: Repository::new(&store),
            database,
            events: Arc::new(store.clone()),
            auditable: Arc::new(store.clone()),
            keys: Arc::new(store),
        }
    }

    pub async fn is_known(&self, number: &str) -> Result<bool, Error> {
        Ok(self.orders.load(order_id(number)).await?.exists())
    }

    /// A customer orders, and would send the same again where no answer came.
    pub async fn place(&self, placed: &Placed) -> Done {
        let place = OrderCommand::Place(placed.clone());
        self.orders.execute(order_id(&placed.number), &place).idempotency_key(key("place")?).await?;
        Ok(())
    }

    /// A delivery comes in, once under its name.
    pub async fn receive(&self, article: &str, quantity: u32, delivery: &str) -> Done {
        let receive = StockCommand::Receive { quantity };
        self.stock.execute(stock_id(article), &receive).idempotency_key(key(delivery)?).await?;
        Ok(())
    }

    /// The carrier takes the parcel of an order, if its shipment has not been called off. Returns whether it did.
    pub async fn hand_over(&self, number: &str) -> Result<bool, AnyError> {
        let (order, parcel) = (number.to_owned(), format!("parcel-{number}"));
        let hand_over = ShipmentCommand::HandOver { order, parcel };
        let handed_over = self.shipments.execute(shipment_id(number), &hand_over).idempotency_key(key("hand-over")?);
        match handed_over.await {
            Ok(_) => Ok(true),
            Err(annals::ExecuteError::Rejected { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// How many calls of the payment service were kept to be sent again, up to a thousand.
    pub async fn pending_calls(&self) -> Result<usize, Error> {
        let query = CallQuery { client: CLIENT.into(), after: None, limit: 1_000 };
        Ok(self.keys.pending_calls(&query).await?.len())
    }

    pub async fn close(&self) {
        match &self.database {
            Database::Sqlite(store) => store.close().await,
            #[cfg(feature = "postgres")]
            Database::Postgres(store) => store.close().await,
        }
    }
}

fn key(key: &str) -> Result<IdempotencyKey, Error> {
    IdempotencyKey::new(key)
}
