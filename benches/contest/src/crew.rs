//! Tasks that send commands at once.

use std::{
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use anyhow::{Context as _, Result};
use tokio::task::JoinSet;

use crate::{
    contender::Orders,
    order::{OrderCommand, order_id},
};

/// Tasks take one order after the other and see each through these commands.
pub(crate) async fn through_orders<const N: usize>(
    orders: &Arc<dyn Orders>,
    tasks: u64,
    numbers: Range<u64>,
    commands: fn(u64) -> [OrderCommand; N],
) -> Result<Vec<u64>> {
    let next = Arc::new(AtomicU64::new(numbers.start));
    in_tasks(tasks, || {
        let (orders, next) = (Arc::clone(orders), Arc::clone(&next));
        async move {
            let mut latencies = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= numbers.end {
                    return Ok(latencies);
                }
                for command in commands(number) {
                    let began = Instant::now();
                    orders.execute(order_id(number), &command).await?;
                    latencies.push(nanoseconds_since(began));
                }
            }
        }
    })
    .await
}

/// Tasks add lines to one order, each so many.
pub(crate) async fn on_one_order(orders: &Arc<dyn Orders>, order: u64, tasks: u64, each: u64) -> Result<Vec<u64>> {
    in_tasks(tasks, || {
        let orders = Arc::clone(orders);
        async move {
            let mut latencies = Vec::new();
            for number in 0..each {
                let began = Instant::now();
                orders.execute(order_id(order), &OrderCommand::add_line(number)).await?;
                latencies.push(nanoseconds_since(began));
            }
            Ok(latencies)
        }
    })
    .await
}

/// Runs as many tasks as that, and gives the latencies of all.
async fn in_tasks<F>(tasks: u64, mut task: impl FnMut() -> F) -> Result<Vec<u64>>
where
    F: Future<Output = Result<Vec<u64>>> + Send + 'static,
{
    let mut running = JoinSet::new();
    for _ in 0..tasks {
        running.spawn(task());
    }
    let mut latencies = Vec::new();
    while let Some(ended) = running.join_next().await {
        latencies.append(&mut ended.context("a task ended badly")??);
    }
    Ok(latencies)
}

pub(crate) fn nanoseconds_since(began: Instant) -> u64 {
    u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX)
}
