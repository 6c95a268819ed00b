//! Customers: place orders, many at once, and not more than the shop can take.

use std::{
    sync::{Arc, PoisonError},
    time::Duration,
};

use chrono::Utc;
use tokio::{sync::watch, task::JoinSet};

use crate::{answer::AnyError, plan::Plan, shop::Shop, warehouse::Promises};

/// The most orders that are being placed at a time.
const AT_ONCE: usize = 16;

/// The most orders that are open at a time.
const OPEN: u32 = 96;

/// How often an order is placed that meets a database which does not answer: under one key, so once.
const TRIES: u32 = 20;

/// Places all orders; returns when the last one is placed.
pub async fn order(
    shop: Shop,
    plans: Vec<Plan>,
    promises: Promises,
    mut ended: watch::Receiver<u32>,
) -> Result<(), AnyError> {
    let mut placing = JoinSet::new();
    for (placed, plan) in (0..).zip(plans) {
        ended.wait_for(|ended| placed < ended + OPEN).await?;
        if placing.len() >= AT_ONCE
            && let Some(placed) = placing.join_next().await
        {
            placed??;
        }
        placing.spawn(place(shop.clone(), plan, Arc::clone(&promises)));
    }
    while let Some(placed) = placing.join_next().await {
        placed??;
    }
    Ok(())
}

async fn place(shop: Shop, plan: Plan, promises: Promises) -> Result<(), AnyError> {
    let placed = plan.placed(Utc::now());
    let promise = (placed.ship_by, plan.hand_over);
    promises.lock().unwrap_or_else(PoisonError::into_inner).insert(plan.number, promise);
    let mut tries = 1;
    loop {
        match shop.place(&placed).await {
            Ok(()) => return Ok(()),
            Err(error) if tries >= TRIES => return Err(error),
            Err(_) => tries += 1,
        }
        tokio::time::sleep(Duration::from_millis(20) * tries).await;
    }
}
