//! A process that runs commands until it is killed, and what it has said by then.

use std::{
    collections::HashMap,
    io::{BufRead as _, BufReader},
    process::{Child, Stdio},
    sync::mpsc::{self, Receiver},
    thread::JoinHandle,
    time::Duration,
};

use annals::{EventStore, Repository};

use super::{
    child,
    tally::{Request, Tally, answer_line, is_replayed},
};

/// How many commands a process runs at once.
pub const TASKS: usize = 4;
/// The longest that a process which does not get on is waited for.
const LONGEST_WAIT: Duration = Duration::from_secs(20);

/// Runs requests without end, in a process to be killed, and says each answer as soon as it has it.
///
/// `name` is that of a request, from the number of its task and its own.
pub async fn run_until_killed(tallies: Repository<Tally>, name: fn(&str, usize, usize) -> String) {
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..TASKS {
        let tallies = tallies.clone();
        tasks.spawn(async move {
            for number in 0.. {
                let name = name(&child::name(), task, number);
                let answer = Request::of(&name).run_until_answered(&tallies).await;
                child::say(&format!("{name}:{}", answer_line(&answer).unwrap()));
            }
        });
    }
    if let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }
}

/// A process under way.
pub struct Victim {
    pub name: String,
    process: Child,
    answers: Receiver<(String, String)>,
    reader: JoinHandle<()>,
    acknowledged: HashMap<String, String>,
}

impl Victim {
    /// Starts a process that runs one test of this binary on a file or a URL.
    pub fn start(test: &str, target: &std::path::Path, name: &str) -> Self {
        let mut process = child::command(test, target, name, &[]).stderr(Stdio::null()).spawn().unwrap();
        let out = BufReader::new(process.stdout.take().unwrap());
        let (send, answers) = mpsc::channel();
        let reader = std::thread::spawn(move || {
            // The last line may be torn by the kill: it was not acknowledged.
            for line in out.split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line).into_owned();
                if let Some((name, answer)) = child::said(&line).and_then(|said| said.split_once(':')) {
                    let _ = send.send((name.to_owned(), answer.to_owned()));
                }
            }
        });
        Self { name: name.to_owned(), process, answers, reader, acknowledged: HashMap::new() }
    }

    /// Kills it somewhere after a random number of answers. What it has said.
    pub fn kill_after(mut self, answers: usize, random: &mut fastrand::Rng) -> HashMap<String, String> {
        while self.acknowledged.len() < answers {
            let Ok((name, answer)) = self.answers.recv_timeout(LONGEST_WAIT) else { break };
            self.acknowledged.insert(name, answer);
        }
        // Somewhere between two answers.
        if let Ok((name, answer)) = self.answers.recv_timeout(Duration::from_micros(random.u64(0..3000))) {
            self.acknowledged.insert(name, answer);
        }
        self.process.kill().unwrap();
        let ended = self.process.wait().unwrap();
        assert!(ended.code().is_none(), "{} was to be killed, but ended by itself: {ended}", self.name);
        self.acknowledged.extend(self.answers.iter());
        self.reader.join().unwrap();
        without_torn(self.acknowledged)
    }
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

/// Sends again what was under way when a process was killed: for each task what follows its last answer.
pub async fn repeat_unanswered<S: EventStore + Clone + 'static>(
    store: &S,
    acknowledged: &HashMap<String, String>,
    name: impl Fn(usize, usize) -> String,
) {
    let tallies = Repository::<Tally>::new(store);
    for task in 0..TASKS {
        let next = (0..).map(|number| name(task, number)).find(|name| !acknowledged.contains_key(name));
        let request = Request::of(&next.unwrap());
        if request.key.is_some() {
            let answer = request.run_until_answered(&tallies).await;
            let again = request.run_until_answered(&tallies).await;
            assert!(is_replayed(&again));
            assert_eq!(answer_line(&again).unwrap(), answer_line(&answer).unwrap());
        }
    }
}
