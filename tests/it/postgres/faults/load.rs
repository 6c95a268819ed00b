//! Commands without end, by many tasks of this process.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use annals::{ExecuteError, PostgresStore, Repository};
use tokio::{
    sync::mpsc::{self, UnboundedReceiver},
    task::JoinSet,
};

use super::in_time;
use crate::faults::{
    ledger::Ledger,
    tally::{Request, Tally, UNKEYED, answer_line},
};

/// After so many requests of a task come other aggregates: streams do not grow with the campaign.
const REQUESTS_OF_AN_ERA: usize = 50;
/// One of so many requests has no key.
const UNKEYED_EVERY: usize = 4;

/// The name of a request: each task's own, in an era that all tasks share.
pub fn request_name(era: usize, task: &str, number: usize) -> String {
    let prefix = if number.is_multiple_of(UNKEYED_EVERY) { UNKEYED } else { "" };
    format!("{prefix}e{era}.{task}-{number}")
}

/// Tasks that run commands until they are told to stop.
pub struct Load {
    tasks: JoinSet<()>,
    stop: Arc<AtomicBool>,
    // Bounded by the answers of a campaign.
    answers: UnboundedReceiver<(String, Option<String>)>,
    ledger: Ledger,
    /// Commands without a key whose outcome nobody knows: they are there once or not at all.
    pub unknown: usize,
}

impl Load {
    /// Starts the tasks: every other one keeps the states of aggregates.
    pub fn start(store: &PostgresStore, tasks: usize) -> Self {
        let (send, answers) = mpsc::unbounded_channel();
        let stop = Arc::new(AtomicBool::new(false));
        let (plain, cached) = (Repository::<Tally>::new(store), Repository::<Tally>::new(store).cached(20));
        let mut set = JoinSet::new();
        for task in 0..tasks {
            let tallies = if task.is_multiple_of(2) { plain.clone() } else { cached.clone() };
            let (send, stop) = (send.clone(), Arc::clone(&stop));
            set.spawn(async move {
                for number in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let request = Request::of(&request_name(number / REQUESTS_OF_AN_ERA, &format!("t{task}"), number));
                    let answer = request.run_until_answered(&tallies).await;
                    let is_unknown = matches!(&answer, Err(ExecuteError::Store(error)) if error.is_outcome_unknown());
                    let line = answer_line(&answer);
                    assert!(line.is_ok() || is_unknown, "{}: {answer:?}", request.name);
                    let _ = send.send((request.name, line.ok()));
                }
            });
        }
        Self { tasks: set, stop, answers, ledger: Ledger::default(), unknown: 0 }
    }

    fn enter(&mut self, (name, answer): (String, Option<String>)) {
        match answer {
            Some(answer) => drop(self.ledger.acknowledged.insert(name, answer)),
            None => self.unknown += 1,
        }
    }

    /// Waits until so many more requests were answered.
    pub async fn answers(&mut self, count: usize) {
        for _ in 0..count {
            let answer = in_time("a command under load", self.answers.recv()).await;
            self.enter(answer.expect("a task has failed"));
        }
    }

    /// Lets every task end its command. What was answered.
    pub async fn end(mut self) -> (Ledger, usize) {
        self.stop.store(true, Ordering::Relaxed);
        while let Some(ended) = in_time("the last command of a task", self.tasks.join_next()).await {
            ended.unwrap();
        }
        while let Some(answer) = self.answers.recv().await {
            self.enter(answer);
        }
        (self.ledger, self.unknown)
    }
}
