//! Connections that are cut under load, on the way to the server and on the way back.

use std::{collections::HashMap, time::Duration};

use annals::PostgresStore;

use super::{
    database_check::conclude,
    in_time,
    load::Load,
    proxy::{Cut, Kind, Proxy},
};
use crate::{campaign, postgres_server::Server};

/// How many requests that write are cut.
const CUTS: usize = 60;
const TASKS: usize = 8;
/// One of so many requests that write.
const ONE_OF: u32 = 8;

#[tokio::test(flavor = "multi_thread")]
async fn cut_connections_lose_and_double_no_command() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let wanted = campaign::sized(u32::try_from(CUTS).unwrap()) as usize;
    let server = Server::options().tcp().start().await.unwrap();
    let proxy = Proxy::start(server.tcp_address().unwrap(), seed).await;
    let through = server.tcp_url(proxy.address(), "postgres");
    let store = PostgresStore::options().acquire_timeout(Duration::from_secs(10)).connect(&through).await.unwrap();
    let mut load = Load::start(&store, TASKS);
    proxy.cut_one_of(ONE_OF);
    let writes = |cuts: &[(Kind, Cut)]| cuts.iter().filter(|(kind, _)| *kind == Kind::Append).count();
    while writes(&proxy.cuts()) < wanted {
        load.answers(TASKS).await;
    }
    in_time("what was late", proxy.late_have_arrived()).await;
    load.answers(TASKS).await;
    let (ledger, unknown) = load.end().await;
    store.close().await;

    let cuts = proxy.cuts();
    let mut places: HashMap<Cut, usize> = HashMap::new();
    for (_, cut) in cuts.iter().filter(|(kind, _)| *kind == Kind::Append) {
        *places.entry(*cut).or_default() += 1;
    }
    let places: Vec<_> = Cut::ALL.iter().map(|cut| format!("{cut:?}={}", places.get(cut).unwrap_or(&0))).collect();
    let campaign = format!(
        "cuts={} of_reads={} {} unknown={unknown}",
        writes(&cuts),
        cuts.len() - writes(&cuts),
        places.join(" ")
    );
    conclude(&server.url("postgres"), &ledger, &campaign).await;
}
