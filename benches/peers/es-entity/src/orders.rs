//! Orders in es-entity.

use annals_contest::{Order, OrderCommand, OrderEvent, Orders, Turnovers, async_trait};
use anyhow::{Context as _, Result, bail};
use es_entity::{EsEntity as _, Fail, Fault, ListDirection, PaginatedQueryArgs, TransientKind};
use uuid::Uuid;

use crate::{
    order::{NewOrder, OrderId},
    repository::{OrderConstraintViolation, OrderRepo},
};

/// How often a command is run again that met another.
const TRIES: u32 = 1_000;

/// How many orders are listed at once.
const PAGE: usize = 500;

pub(crate) struct EsEntityOrders {
    pub(crate) orders: OrderRepo,
}

impl EsEntityOrders {
    async fn run(&self, order: Uuid, command: &OrderCommand, request: Option<&str>) -> Result<()> {
        let id = OrderId::from(order);
        for _ in 0..TRIES {
            if let Some(mut order) = self.orders.maybe_find_by_id(id).await? {
                if order.run(command, request)?.was_already_applied() {
                    return Ok(());
                }
                match self.orders.update(&mut order).await {
                    Err(Fault::Transient(fault)) if fault.kind == TransientKind::OptimisticConflict => {}
                    ended => return Ok(ended.map(|_| ())?),
                }
            } else {
                match self.orders.create(NewOrder::run(id, command, request)?).await {
                    Err(Fail::Rejected(OrderConstraintViolation::Pkey(_))) => {}
                    ended => return Ok(ended.map(|_| ())?),
                }
            }
        }
        bail!("a command met another {TRIES} times")
    }
}

#[async_trait]
impl Orders for EsEntityOrders {
    async fn execute(&self, order: Uuid, command: &OrderCommand) -> Result<()> {
        self.run(order, command, None).await
    }

    async fn execute_request(&self, order: Uuid, command: &OrderCommand, request: &str) -> Result<()> {
        self.run(order, command, Some(request)).await
    }

    async fn fill(&self, order: Uuid, history: &[OrderEvent]) -> Result<()> {
        self.orders.create(NewOrder::with(order.into(), history)).await?;
        Ok(())
    }

    async fn fill_all(&self, histories: &[(Uuid, Vec<OrderEvent>)]) -> Result<()> {
        let new = histories.iter().map(|(order, history)| NewOrder::with((*order).into(), history));
        self.orders.create_all(new.collect()).await?;
        Ok(())
    }

    async fn load(&self, order: Uuid) -> Result<Order> {
        let order = self.orders.maybe_find_by_id(OrderId::from(order)).await?;
        Ok(order.map(|order| order.state).unwrap_or_default())
    }

    /// There is no log of all: its events are those of its orders, which are listed with all of theirs.
    async fn read_log(&self) -> Result<Turnovers> {
        let mut turnovers = Turnovers::default();
        let mut next = Some(PaginatedQueryArgs { first: PAGE, after: None });
        while let Some(query) = next {
            let page = self.orders.list_by_id(query, ListDirection::Ascending).await.context("listing orders")?;
            for order in page.entities() {
                order.events().iter_all().for_each(|event| turnovers.add(&event.happened()));
            }
            next = page.into_next_query();
        }
        Ok(turnovers)
    }

    async fn close(&self) -> Result<()> {
        self.orders.pool.close().await;
        Ok(())
    }
}
