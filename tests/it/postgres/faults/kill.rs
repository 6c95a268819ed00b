//! Processes killed with SIGKILL at random points, several of them on one database.

use std::path::Path;

use annals::{PostgresStore, Repository};

use super::{database_check::conclude, load};
use crate::{
    campaign,
    faults::{
        child,
        ledger::Ledger,
        tally::Tally,
        victim::{Victim, repeat_unanswered, run_until_killed},
    },
    postgres_server::Database,
};

/// How many processes are killed.
const KILLS: u32 = 12;
/// How many run at once.
const PROCESSES: usize = 3;
/// So many processes share aggregates, those that run at once among them.
const PROCESSES_OF_AN_ERA: usize = 6;

fn request_name(child: &str, task: usize, number: usize) -> String {
    let child_number: usize = child.trim_start_matches('k').parse().unwrap();
    load::request_name(child_number / PROCESSES_OF_AN_ERA, &format!("{child}-{task}"), number)
}

#[test]
fn child_runs_commands_until_it_is_killed() {
    let Some(url) = child::file() else { return };
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let store = PostgresStore::connect(url.to_str().unwrap()).await.unwrap();
        let tallies = Repository::<Tally>::new(&store);
        // Every other process keeps the states of aggregates.
        let is_cached = child::name().ends_with(['1', '3', '5', '7', '9']);
        run_until_killed(if is_cached { tallies.cached(20) } else { tallies }, request_name).await;
    });
}

#[test]
fn killed_at_random_points_processes_leave_every_acknowledged_command_once() {
    let mut random = fastrand::Rng::with_seed(fastrand::u64(..));
    println!("seed {}", random.get_seed());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let database = runtime.block_on(Database::create());
    let store = runtime.block_on(PostgresStore::connect(database.url())).unwrap();
    let kills = campaign::sized(KILLS) as usize;
    let test = "postgres::faults::kill::child_runs_commands_until_it_is_killed";
    let start = |number: usize| Victim::start(test, Path::new(database.url()), &format!("k{number}"));
    let mut running: Vec<_> = (0..PROCESSES).map(start).collect();
    let mut ledger = Ledger::default();
    for number in 0..kills {
        let victim = running.swap_remove(random.usize(..running.len()));
        let name = victim.name.clone();
        let acknowledged = victim.kill_after(random.usize(1..60), &mut random);
        if number + PROCESSES < kills {
            running.push(start(number + PROCESSES));
        }
        // While the others go on, and while the server may still be at what the killed one has sent.
        let unanswered = repeat_unanswered(&store, &acknowledged, |task, number| request_name(&name, task, number));
        runtime.block_on(unanswered);
        ledger.acknowledged.extend(acknowledged);
    }
    runtime.block_on(async {
        store.close().await;
        conclude(database.url(), &ledger, &format!("kills={kills}")).await;
    });
    assert!(ledger.acknowledged.len() >= kills, "only {} commands were acknowledged", ledger.acknowledged.len());
}
