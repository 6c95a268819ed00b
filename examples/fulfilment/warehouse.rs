//! The warehouse: sees what is booked, and hands it over, or not. It also sees how orders end.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use annals::{LogQuery, Position, Selection};
use chrono::{DateTime, Utc};
use tokio::{
    sync::{Semaphore, watch},
    task::JoinSet,
};

use crate::{
    answer::AnyError,
    order::{Order, OrderEvent},
    plan::HandOver,
    shipment::{Shipment, ShipmentEvent},
    shop::Shop,
};
use annals::Aggregate as _;

/// How many parcels are handed over at a time.
const HANDS: usize = 8;

/// How often it looks, where no commit of this process wakes it.
const LOOK: Duration = Duration::from_millis(20);

/// How often a hand-over is tried that meets a database that does not answer.
const TRIES: u32 = 20;

/// What was promised of orders that were placed, and when the warehouse means to hand them over.
pub type Promises = Arc<Mutex<HashMap<String, (DateTime<Utc>, HandOver)>>>;

/// What is still to be read.
#[derive(Debug, Default)]
struct Seen {
    read_to: Option<Position>,
    booked: Vec<String>,
    ended: u32,
}

/// Reads on until nobody listens for how many orders have ended.
pub async fn work(shop: Shop, promises: Promises, ended: watch::Sender<u32>) -> Result<(), AnyError> {
    let hands = Arc::new(Semaphore::new(HANDS));
    let mut parcels = JoinSet::new();
    let mut seen = Seen::default();
    while !ended.is_closed() {
        look(&shop, &mut seen).await?;
        for number in std::mem::take(&mut seen.booked) {
            let promise = promises.lock().unwrap_or_else(PoisonError::into_inner).get(&number).copied();
            let Some(wait) = promise.and_then(|(ship_by, hand_over)| wait(ship_by, hand_over)) else { continue };
            let (shop, hands) = (shop.clone(), Arc::clone(&hands));
            parcels.spawn(async move {
                tokio::time::sleep(wait).await;
                let Ok(_hand) = hands.acquire().await else { return Ok(()) };
                hand_over(&shop, &number).await
            });
        }
        while let Some(handed_over) = parcels.try_join_next() {
            handed_over??;
        }
        ended.send_if_modified(|ended| std::mem::replace(ended, seen.ended) != seen.ended);
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}

async fn look(shop: &Shop, seen: &mut Seen) -> Result<(), AnyError> {
    let query = seen.read_to.map_or_else(LogQuery::all, |position| LogQuery::all().after(position));
    let query = query.select(Selection::all().aggregate_types([Order::TYPE, Shipment::TYPE]));
    shop.events
        .read_log(&query, &mut |stored| {
            seen.read_to = Some(stored.position);
            if stored.aggregate_type == Order::TYPE {
                let ended = !matches!(stored.decode_as::<Order>()?, OrderEvent::OrderPlaced(_));
                seen.ended += u32::from(ended);
            } else if let ShipmentEvent::ShipmentBooked { order } = stored.decode_as::<Shipment>()? {
                seen.booked.push(order);
            }
            Ok(())
        })
        .await?;
    Ok(())
}

/// How long until a parcel is handed over. `None`: it never is.
fn wait(ship_by: DateTime<Utc>, hand_over: HandOver) -> Option<Duration> {
    match hand_over {
        HandOver::After(wait) => Some(wait),
        HandOver::AtTheDeadline(milliseconds) => {
            let at = ship_by + chrono::TimeDelta::milliseconds(milliseconds);
            Some((at - Utc::now()).to_std().unwrap_or_default())
        }
        HandOver::Never => None,
    }
}

async fn hand_over(shop: &Shop, number: &str) -> Result<(), AnyError> {
    let mut tries = 1;
    loop {
        match shop.hand_over(number).await {
            Ok(_) => return Ok(()),
            Err(error) if tries >= TRIES => return Err(error),
            Err(_) => tries += 1,
        }
        tokio::time::sleep(LOOK * tries).await;
    }
}
