//! Questions that have an answer and no figure in seconds.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use uuid::Uuid;

use crate::{
    cell::Outcome,
    contender::Orders,
    crew::through_orders,
    order::{OrderCommand, OrderEvent, order_id},
};

/// How many tasks write beside a subscriber.
pub(crate) const WRITERS: u64 = 32;

/// How many orders they write, of four commands each.
const WRITTEN_ORDERS: u64 = 5_000;

/// How long a subscriber is waited for that is told of nothing more.
const SILENCE: Duration = Duration::from_secs(5);

/// How often it is looked at meanwhile.
const LOOK: Duration = Duration::from_millis(50);

/// Sends a command twice under the name of one request, as a client does that has lost the reply to the first.
///
/// The reply is lost behind the commit: what was sent first is done. The command is one that could be executed twice: a
/// line is added, and no state speaks against a second.
pub(crate) async fn lost_reply(orders: &Arc<dyn Orders>) -> Result<Outcome> {
    let order = order_id(1);
    orders.execute_request(order, &OrderCommand::place(1), "place-1").await?;
    let (line, request) = (OrderCommand::add_line(1), "add-line-1");
    orders.execute_request(order, &line, request).await?;
    // What the second try is told is the contender's own matter: an error is an answer, too.
    let retried = orders.execute_request(order, &line, request).await;
    let executed = orders.load(order).await?.additions();
    ensure!(executed > 0, "the command was not executed at all");
    Ok(Outcome::Sent { executed, is_retry_answered: retried.is_ok() })
}

/// Lets a subscriber follow the log while others write, and counts what it was not told.
pub(crate) async fn beside(orders: &Arc<dyn Orders>) -> Result<Outcome> {
    let told: Arc<Mutex<HashMap<(Uuid, &'static str), u64>>> = Arc::default();
    let telling = Arc::clone(&told);
    let seen = move |order: Uuid, event: &OrderEvent| {
        if let Ok(mut told) = telling.lock() {
            *told.entry((order, event.kind())).or_default() += 1;
        }
    };
    orders.subscribe(Arc::new(seen)).await.context("subscribing")?;
    through_orders(orders, WRITERS, 0..WRITTEN_ORDERS, OrderCommand::lifecycle).await?;
    let written = 4 * WRITTEN_ORDERS;
    let count = || told.lock().map(|told| (told.len(), told.values().sum::<u64>())).unwrap_or_default();
    let (mut last, mut since) = (count(), Instant::now());
    while (last.0 as u64) < written && since.elapsed() < SILENCE {
        tokio::time::sleep(LOOK).await;
        let now = count();
        if now != last {
            (last, since) = (now, Instant::now());
        }
    }
    let (told, times) = count();
    Ok(Outcome::Told { written, missed: written - u64::try_from(told)?, again: times - u64::try_from(told)? })
}
