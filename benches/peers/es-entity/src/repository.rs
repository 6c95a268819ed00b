//! The repository of orders.

#![expect(clippy::future_not_send, reason = "the derive writes functions that take what need not be sendable")]

// What the derive writes needs most of it in scope.
use es_entity::*;
use sqlx::PgPool;

use crate::order::{Order, OrderEvent, OrderId};

/// What es-entity derives: it finds, lists, creates and updates. The ids come with the commands.
#[derive(Debug, EsRepo)]
#[es_repo(entity = "Order", id(source = caller))]
pub(crate) struct OrderRepo {
    pub(crate) pool: PgPool,
}
