//! The import, killed again and again.

use std::{
    process::Child,
    time::{Duration, Instant},
};

use fastrand::Rng;
use serde_json::json;

use super::{
    book::Book,
    program::{Shop, totals},
};
use crate::campaign;

#[tokio::test(flavor = "multi_thread")]
async fn an_import_that_is_killed_anywhere_ends_in_the_same_sums() {
    is_killed_anywhere(&Shop::new(), campaign::sized(20)).await;
}

#[cfg(feature = "postgres")]
#[tokio::test(flavor = "multi_thread")]
async fn an_import_that_is_killed_anywhere_ends_in_the_same_sums_on_a_server() {
    is_killed_anywhere(&Shop::on_server().await, campaign::sized(10)).await;
}

async fn is_killed_anywhere(shop: &Shop, rounds: u32) {
    let book = Book::of(80 * rounds as usize, 9);
    let expected = book.summary(1);
    let events = expected["events_recorded"].as_u64().unwrap();
    let file = shop.file("week.csv", &book.csv);
    let random = &mut Rng::with_seed(10);

    let mut kills = 0;
    for round in 0..rounds {
        let mut import = shop.spawn(&file);
        // At first the database itself is being made; later some more events are waited for.
        if round >= 3 {
            // Well before its end: whoever waits may be late.
            let step = random.u64(1..=(events / u64::from(2 * rounds)).max(2));
            wait_for_events(shop, &mut import, step).await;
        }
        pause(Duration::from_micros(random.u64(..5_000)));
        import.kill().unwrap();
        kills += u32::from(!import.wait().unwrap().success());
    }
    eprintln!("killed {kills} of {rounds} imports");
    assert!(kills * 4 >= rounds * 3, "only {kills} of {rounds} imports were killed before they had ended");

    let last = shop.import(&file, &[]);
    assert_eq!(totals(&last), totals(&expected));
    let lines = last["commands_accepted"].as_u64().unwrap() + last["commands_replayed"].as_u64().unwrap();
    assert_eq!((lines, &last["commands_rejected"]), (book.lines.len() as u64, &json!(0)));
    assert_all_is_there(shop, events).await;

    let after = shop.import(&file, &[]);
    assert_eq!((totals(&after), &after["events_recorded"]), (totals(&expected), &json!(0)));
}

/// Waits until the import has recorded this many events more than there are, or has ended.
async fn wait_for_events(shop: &Shop, import: &mut Child, more: u64) {
    let store = shop.store().await;
    // Positions count as well as need be: only what a killed import had begun leaves holes.
    let begun_at = store.head().await.unwrap().get();
    while store.head().await.unwrap().get() < begun_at + more && import.try_wait().unwrap().is_none() {
        tokio::task::yield_now().await;
    }
}

/// Lets a short random time go by, so that kills meet every part of a commit.
pub fn pause(time: Duration) {
    let begun_at = Instant::now();
    while begun_at.elapsed() < time {
        std::hint::spin_loop();
    }
}

/// Reads the whole log: every order is without holes, and nothing is there twice.
async fn assert_all_is_there(shop: &Shop, events: u64) {
    let store = shop.store().await;
    let mut versions = std::collections::HashMap::new();
    let mut read = 0;
    let mut visit = |event: annals::EventRef<'_>| {
        let version: &mut u64 = versions.entry(event.aggregate_id).or_default();
        *version += 1;
        read += 1;
        assert_eq!(event.sequence, *version, "order {}", event.aggregate_id);
        Ok(())
    };
    store.read_log(&annals::LogQuery::all(), &mut visit).await.unwrap();
    assert_eq!(read, events);
}
