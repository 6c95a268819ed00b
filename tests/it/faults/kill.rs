//! SIGKILL at random points under load: what was acknowledged is there, once, and is answered again.

use annals::{Repository, SqliteStore};

use super::{
    child,
    ledger::Ledger,
    log_check::check_file,
    tally::Tally,
    victim::{Victim, repeat_unanswered, run_until_killed},
};
use crate::campaign;

/// How often a child is killed.
const ROUNDS: u32 = 40;
const ROUNDS_OF_A_FILE: u32 = 20;

fn request_name(child: &str, task: usize, number: usize) -> String {
    format!("{child}-{task}-{number}")
}

#[test]
fn child_runs_commands_until_it_is_killed() {
    let Some(path) = child::file() else { return };
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let store = SqliteStore::open(path).await.unwrap();
        run_until_killed(Repository::<Tally>::new(&store), request_name).await;
    });
}

/// Kills children on one file, checks it after each, and at the end asks for everything that was ever acknowledged.
fn kill_on_one_file(rounds: std::ops::Range<u32>, random: &mut fastrand::Rng) -> usize {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.db");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut all = Ledger::default();
    for round in rounds {
        let name = format!("r{round}");
        let victim = Victim::start("faults::kill::child_runs_commands_until_it_is_killed", &path, &name);
        let answers = random.usize(1..80);
        let ledger = Ledger { acknowledged: victim.kill_after(answers, random) };
        runtime.block_on(async {
            let store = SqliteStore::open(&path).await.unwrap();
            let checked = check_file(&store, &path).await;
            ledger.check(&store, &checked).await;
            repeat_unanswered(&store, &ledger.acknowledged, |task, number| request_name(&name, task, number)).await;
            store.close().await;
        });
        all.acknowledged.extend(ledger.acknowledged);
    }
    runtime.block_on(async {
        let store = SqliteStore::open(&path).await.unwrap();
        let checked = check_file(&store, &path).await;
        all.check(&store, &checked).await;
        let after = check_file(&store, &path).await;
        assert_eq!((after.events, after.receipts), (checked.events, checked.receipts), "answering has written");
    });
    all.acknowledged.len()
}

#[test]
fn killed_at_random_points_a_file_keeps_every_acknowledged_command_once() {
    let mut random = fastrand::Rng::with_seed(fastrand::u64(..));
    println!("seed {}", random.get_seed());
    let rounds = campaign::sized(ROUNDS);
    // A new file now and then: each check reads the whole of it.
    let starts = (0..rounds).step_by(ROUNDS_OF_A_FILE as usize);
    let acknowledged: usize =
        starts.map(|start| kill_on_one_file(start..rounds.min(start + ROUNDS_OF_A_FILE), &mut random)).sum();
    assert!(acknowledged > 100 || rounds < ROUNDS, "only {acknowledged} commands were acknowledged");
}
