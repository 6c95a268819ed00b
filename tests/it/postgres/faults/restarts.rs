//! A server that crashes in mid-load and is started again.

use std::time::Duration;

use annals::PostgresStore;

use super::{database_check::conclude, load::Load};
use crate::{campaign, postgres_server::Server};

/// How often the server crashes.
const RESTARTS: u32 = 3;
const TASKS: usize = 12;

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_crashes_in_mid_load_keeps_every_acknowledged_command_once() {
    let mut random = fastrand::Rng::with_seed(fastrand::u64(..));
    println!("seed {}", random.get_seed());
    // As in production: what is acknowledged was synced.
    let mut server = Server::options().setting("fsync", "on").start().await.unwrap();
    let url = server.url("postgres");
    let store = PostgresStore::options().acquire_timeout(Duration::from_secs(2)).connect(&url).await.unwrap();
    let mut load = Load::start(&store, TASKS);
    let restarts = campaign::sized(RESTARTS);
    for _ in 0..restarts {
        load.answers(random.usize(20..200)).await;
        server.stop_immediately().await;
        server.start_again().await;
    }
    // All get on again.
    load.answers(10 * TASKS).await;
    let (ledger, unknown) = load.end().await;
    store.close().await;
    conclude(&url, &ledger, &format!("restarts={restarts} unknown={unknown}")).await;
}
