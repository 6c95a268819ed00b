//! The payments example as several processes: raced for one key, and killed under load. A charge is made once.

mod books;
mod client;
mod kills;
mod load;
mod phases;
mod place;
mod rounds;

use std::time::Duration;

/// The longest that anything in here is waited for: whoever waits longer is stuck, and fails.
const LONGEST_WAIT: Duration = Duration::from_secs(120);

/// Fails where a future has not ended in [`LONGEST_WAIT`].
async fn in_time<F: Future>(what: &str, future: F) -> F::Output {
    let ended = tokio::time::timeout(LONGEST_WAIT, future).await;
    ended.unwrap_or_else(|_| panic!("{what} has not ended in {LONGEST_WAIT:?}"))
}

/// What decides about moments and loads. Said at the beginning, for whoever looks into a failure.
fn seed() -> u64 {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    seed
}
