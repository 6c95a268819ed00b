//! SIGKILL at random points under load: what was acknowledged is there, once, and is answered again.

use std::{
    collections::HashMap,
    io::{BufRead as _, BufReader},
    path::Path,
    sync::mpsc,
    time::Duration,
};

use annals::{Repository, SqliteStore};

use super::{
    child,
    log_check::{check_acknowledged, check_file},
    tally::{Request, Tally, answer_line, is_replayed},
};
use crate::campaign;

const TASKS: usize = 4;

/// How often a child is killed.
const ROUNDS: u32 = 40;
const ROUNDS_OF_A_FILE: u32 = 20;

/// Runs requests without end and says each answer as soon as it has it.
#[test]
fn child_runs_commands_until_it_is_killed() {
    let Some(path) = child::file() else { return };
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let store = SqliteStore::open(path).await.unwrap();
        let mut tasks = tokio::task::JoinSet::new();
        for task in 0..TASKS {
            let tallies = Repository::<Tally>::new(&store);
            tasks.spawn(async move {
                for number in 0.. {
                    let key = format!("{}-{task}-{number}", child::name());
                    let answer = Request::of(&key).run(&tallies).await;
                    child::say(&format!("{key}:{}", answer_line(&answer).unwrap()));
                }
            });
        }
        tasks.join_next().await;
    });
}

/// Starts a child, kills it after about so many acknowledgements, and returns them.
fn kill_one(path: &Path, name: &str, random: &mut fastrand::Rng) -> HashMap<String, String> {
    let test = "faults::kill::child_runs_commands_until_it_is_killed";
    let mut process = child::command(test, path, name, &[]).stderr(std::process::Stdio::null()).spawn().unwrap();
    let out = BufReader::new(process.stdout.take().unwrap());
    let (send, receive) = mpsc::channel();
    let reader = std::thread::spawn(move || {
        // The last line may be torn by the kill: it was not acknowledged.
        for line in out.split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).into_owned();
            if let Some((key, answer)) = child::said(&line).and_then(|said| said.split_once(':')) {
                let _ = send.send((key.to_owned(), answer.to_owned()));
            }
        }
    });
    let mut acknowledged = HashMap::new();
    let until = random.usize(1..80);
    while acknowledged.len() < until {
        let Ok((key, answer)) = receive.recv_timeout(Duration::from_secs(20)) else { break };
        acknowledged.insert(key, answer);
    }
    // Somewhere between two acknowledgements.
    if let Ok((key, answer)) = receive.recv_timeout(Duration::from_micros(random.u64(0..3000))) {
        acknowledged.insert(key, answer);
    }
    process.kill().unwrap();
    process.wait().unwrap();
    acknowledged.extend(receive.iter());
    reader.join().unwrap();
    acknowledged
}

/// A torn last line cannot be told from a whole one by its form; one that was cut short is left out.
fn without_torn(mut acknowledged: HashMap<String, String>) -> HashMap<String, String> {
    let whole = |answer: &String| {
        let words: Vec<_> = answer.split(' ').collect();
        matches!((words[0], words.len()), ("accepted", 4) | ("rejected", 2))
    };
    acknowledged.retain(|_, answer| whole(answer));
    acknowledged
}

/// Requests that were under way when the child was killed: beyond the last acknowledged of each task.
async fn check_unacknowledged(store: &SqliteStore, acknowledged: &HashMap<String, String>, name: &str) {
    let tallies = Repository::<Tally>::new(store);
    for task in 0..TASKS {
        let next = (0..).find(|number| !acknowledged.contains_key(&format!("{name}-{task}-{number}"))).unwrap();
        let request = Request::of(&format!("{name}-{task}-{next}"));
        let answer = request.run(&tallies).await;
        let again = request.run(&tallies).await;
        assert!(is_replayed(&again));
        assert_eq!(answer_line(&again).unwrap(), answer_line(&answer).unwrap());
    }
}

/// Kills children on one file, checks it after each, and at the end asks for everything that was ever acknowledged.
fn kill_on_one_file(rounds: std::ops::Range<u32>, random: &mut fastrand::Rng) -> usize {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.db");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut all = HashMap::new();
    for round in rounds {
        let name = format!("r{round}");
        let acknowledged = without_torn(kill_one(&path, &name, random));
        runtime.block_on(async {
            let store = SqliteStore::open(&path).await.unwrap();
            let checked = check_file(&store, &path).await;
            check_acknowledged(&store, &checked, &acknowledged).await;
            check_unacknowledged(&store, &acknowledged, &name).await;
            store.close().await;
        });
        all.extend(acknowledged);
    }
    runtime.block_on(async {
        let store = SqliteStore::open(&path).await.unwrap();
        let checked = check_file(&store, &path).await;
        check_acknowledged(&store, &checked, &all).await;
        let after = check_file(&store, &path).await;
        assert_eq!((after.events, after.receipts), (checked.events, checked.receipts), "answering has written");
    });
    all.len()
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
