//! Backends that an operator ends under load.

use annals::PostgresStore;

use super::{database_check::conclude, load::Load};
use crate::{campaign, postgres_server::Database};

/// How many backends are ended.
const TERMINATIONS: u32 = 30;
const TASKS: usize = 12;

/// Ends one of the others in this database, at random.
const TERMINATE_ONE: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
    ORDER BY random() LIMIT 1";

#[tokio::test(flavor = "multi_thread")]
async fn ended_backends_lose_and_double_no_command() {
    let mut random = fastrand::Rng::with_seed(fastrand::u64(..));
    println!("seed {}", random.get_seed());
    let database = Database::create().await;
    let store = PostgresStore::connect(database.url()).await.unwrap();
    let mut operator = database.connection().await;
    let mut load = Load::start(&store, TASKS);
    let (wanted, mut ended) = (campaign::sized(TERMINATIONS), 0);
    while ended < wanted {
        load.answers(random.usize(1..25)).await;
        let found: Option<bool> = sqlx::query_scalar(TERMINATE_ONE).fetch_optional(&mut operator).await.unwrap();
        ended += u32::from(found == Some(true));
    }
    load.answers(10 * TASKS).await;
    let (ledger, unknown) = load.end().await;
    store.close().await;
    conclude(database.url(), &ledger, &format!("terminations={ended} unknown={unknown}")).await;
}
