//! Many tasks at once, on a store that fails in every way.

use annals::{ExecuteError, Id, Repository};

use super::{Command, FULL, Jar, attempts, jars, key, memory, mixed, seeds, tally};

const TASKS: u32 = 8;
const REQUESTS: u32 = 12;

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_commands_are_each_executed_once_through_every_fault() {
    for (seed, is_cached) in seeds(3).flat_map(|seed| [(seed, false), (seed, true)]) {
        let store = memory().await;
        let faulty = mixed(&store, seed);
        let jars = jars(&faulty, is_cached, attempts(10_000));
        // Two jars for all tasks. Each request is sent by two tasks under one key; odd ones are sent once, without.
        let mut tasks = Vec::new();
        for task in 0..TASKS {
            let jars = jars.clone();
            tasks.push(tokio::spawn(async move {
                let mut answers = Vec::new();
                for number in 0..REQUESTS {
                    let pair = task / 2 * REQUESTS + number;
                    let id = Id::natural(&format!("jar {}", pair % 2));
                    let (request, ended) = if number % 3 == 0 {
                        let request = 1_000 + task * REQUESTS + number;
                        (request, jars.execute(id, &Command::Put { request, marbles: 1 }).await)
                    } else {
                        let command = Command::Put { request: pair, marbles: 2 };
                        (pair, jars.execute(id, &command).idempotency_key(key(pair)).await)
                    };
                    answers.push(match ended {
                        Ok(done) => (request, Some((done.first_sequence, done.version))),
                        Err(ExecuteError::Rejected { .. }) => (request, None),
                        Err(other) => panic!("seed {seed}, request {request}: {other:?}"),
                    });
                }
                answers
            }));
        }
        let mut answers = std::collections::BTreeMap::new();
        for task in tasks {
            for (request, answer) in task.await.unwrap() {
                let first = *answers.entry(request).or_insert(answer);
                assert_eq!(first, answer, "seed {seed}: both senders of request {request} get one answer");
            }
        }
        faulty.flush().await;
        assert!(faulty.faults() > 20, "seed {seed}: {} faults", faulty.faults());
        let accepted = answers.into_iter().filter_map(|(request, answer)| Some((request, answer?)));
        let accepted: Vec<_> = accepted.map(|(request, (first, last))| (request, last - first + 1)).collect();
        assert_eq!(tally(&store).await.into_iter().collect::<Vec<_>>(), accepted, "seed {seed}");
        for jar in 0..2 {
            let jar = jars_full(&store, jar).await;
            assert!((FULL - 1..=FULL).contains(&jar), "seed {seed}: there was more to put in than room: {jar}");
        }
    }
}

async fn jars_full(store: &annals::SqliteStore, jar: u32) -> u32 {
    Repository::<Jar>::new(store).load(Id::natural(&format!("jar {jar}"))).await.unwrap().state.marbles
}
