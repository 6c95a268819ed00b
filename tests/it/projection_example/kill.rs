//! The projection, killed again and again while it works.

use std::{process::Child, time::Duration};

use annals::{CheckpointStore, Consumer, Position};
use fastrand::Rng;

use super::{
    catch_up, projection,
    sums::{Sums, orders_of, rows_of},
};
use crate::{
    campaign,
    order_example::{book::Book, kill::pause, program::Shop},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_projection_that_is_killed_anywhere_ends_in_the_same_rows() {
    is_killed_anywhere(Shop::on_file, campaign::sized(5)).await;
}

#[cfg(feature = "postgres")]
#[tokio::test(flavor = "multi_thread")]
async fn a_projection_that_is_killed_anywhere_ends_in_the_same_rows_on_a_server() {
    is_killed_anywhere(Shop::on_server, campaign::sized(5)).await;
}

/// So many positions there are for each kill: what a run gets through before it is killed is a part of them.
const POSITIONS_PER_KILL: u32 = 200;

/// Small, so that a run has many transactions to be killed in.
const BATCHES: [&str; 4] = ["--batch-events", "3", "--lease", "200"];

async fn is_killed_anywhere(open: impl AsyncFn() -> Shop, kills: u32) {
    let book = Book::of((POSITIONS_PER_KILL * kills) as usize, 23);
    let (shop, undisturbed) = (open().await, open().await);
    for shop in [&shop, &undisturbed] {
        shop.import(&shop.file("week.csv", &book.csv), &[]);
    }
    let checkpoints = shop.store().await;
    let head = checkpoints.head().await.unwrap();
    let random = &mut Rng::with_seed(24);

    let mut hits = 0;
    for round in 0..kills {
        let begun_at = position(&*checkpoints).await;
        let mut run = projection(&shop, &["run", "--until-caught-up"]).args(BATCHES).spawn().unwrap();
        // At first the tables themselves are being made; later it has moved on by some events, and is in the next ones.
        if round > 0 {
            let step = random.u64(1..=u64::from(POSITIONS_PER_KILL / 2));
            wait_for(&*checkpoints, Position::new(begun_at.get() + step), &mut run).await;
        }
        pause(Duration::from_micros(random.u64(..3_000)));
        run.kill().unwrap();
        let was_killed = !run.wait().unwrap().success();
        hits += u32::from(was_killed && position(&*checkpoints).await < head);
    }
    eprintln!("killed {hits} of {kills} runs at work");
    assert!(hits * 5 >= kills * 4, "only {hits} of {kills} runs were killed before they had caught up");

    let printed = catch_up(&shop, &BATCHES);
    assert_eq!(position(&*checkpoints).await, head);
    assert_eq!(printed["total"], catch_up(&undisturbed, &[])["total"]);
    let rows = rows_of(&shop).await;
    assert_eq!(rows, rows_of(&undisturbed).await);
    assert_eq!(rows, Sums::of(&book.readable()).rows());
    assert_eq!(orders_of(&shop).await, orders_of(&undisturbed).await);
    assert_eq!(catch_up(&shop, &[]), printed, "one run more changes nothing");
}

/// Waits until the checkpoint is that far, or the run has ended.
async fn wait_for(checkpoints: &dyn CheckpointStore, wanted: Position, run: &mut Child) {
    while position(checkpoints).await < wanted && run.try_wait().unwrap().is_none() {
        tokio::task::yield_now().await;
    }
}

/// Where the projection's checkpoint stands.
pub async fn position(checkpoints: &dyn CheckpointStore) -> Position {
    let checkpoint = checkpoints.checkpoint(&Consumer::new("sales").unwrap()).await.unwrap();
    checkpoint.map_or(Position::START, |checkpoint| checkpoint.cursor.position)
}
