//! What goes wrong around a PostgreSQL server, and that nothing acknowledged is lost by it.

mod backends;
mod connections;
mod cuts;
mod database_check;
mod dropped;
mod kill;
mod load;
mod lost_replies;
mod pools;
pub mod proxy;
mod restarts;
mod standby;
mod timeouts;
mod unstorable;
mod works;

use std::time::Duration;

use sqlx::{Connection as _, PgConnection};

/// The longest that anything in here is waited for: whoever waits longer has stalled, and fails.
pub const LONGEST_WAIT: Duration = Duration::from_secs(120);

/// Fails where a future has not ended in [`LONGEST_WAIT`].
pub async fn in_time<F: Future>(what: &str, future: F) -> F::Output {
    let ended = tokio::time::timeout(LONGEST_WAIT, future).await;
    ended.unwrap_or_else(|_| panic!("{what} has not ended in {LONGEST_WAIT:?}"))
}

/// A connection that knows nothing of any store.
pub async fn raw(url: &str) -> PgConnection {
    PgConnection::connect(url).await.unwrap()
}
