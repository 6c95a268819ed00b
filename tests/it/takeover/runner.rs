//! A process that runs a consumer, as its parent sees it.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, Stdio},
    thread::JoinHandle,
    time::Duration,
};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use tokio::{
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    time::timeout,
};

use super::{LONGEST_WAIT, task::Task};
use crate::faults::child;

/// What processes have said, each line with the name of who said it. As many as events are told.
pub struct Lines {
    send: UnboundedSender<(String, String)>,
    lines: UnboundedReceiver<(String, String)>,
}

impl Lines {
    pub fn new() -> Self {
        let (send, lines) = unbounded_channel();
        Self { send, lines }
    }

    /// Waits for a line of anybody's.
    pub async fn next(&mut self) -> (String, String) {
        timeout(LONGEST_WAIT, self.lines.recv()).await.expect("somebody gets on").expect("a sender is kept")
    }

    /// Waits for a line of somebody's.
    pub async fn hear(&mut self, name: &str, line: &str) {
        let heard = async { while self.next().await != (name.to_owned(), line.to_owned()) {} };
        timeout(LONGEST_WAIT, heard).await.unwrap_or_else(|_| panic!("{name} has not said {line}"));
    }

    /// Waits for a line, but not for long: to be somewhere between two of them.
    pub async fn pause(&mut self, random: &mut fastrand::Rng) {
        drop(timeout(Duration::from_micros(random.u64(0..3_000)), self.lines.recv()).await);
    }
}

/// A process under way. It is killed with this value.
pub struct Runner {
    pub name: String,
    process: Child,
    reader: Option<JoinHandle<()>>,
}

impl Runner {
    /// Starts a process.
    ///
    /// `told` is called with each event it was told of.
    pub fn start(task: &Task, place: &Path, lines: &Lines, told: impl Fn() + Send + 'static) -> Self {
        let test = "takeover::task::child_runs_a_consumer_until_its_input_ends";
        let mut command = child::command(test, place, &task.text(), &[]);
        let mut process = command.stdin(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
        let out = BufReader::new(process.stdout.take().unwrap());
        let (send, name) = (lines.send.clone(), task.name.clone());
        let reader = std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                let Some(said) = child::said(&line) else { continue };
                if said == "told" {
                    told();
                }
                drop(send.send((name.clone(), said.to_owned())));
            }
        });
        Self { name: task.name.clone(), process, reader: Some(reader) }
    }

    /// Whether a lease is this runner's, by its owner.
    pub fn is(&self, owner: &str) -> bool {
        owner.split_once(',').is_some_and(|(name, _)| name == self.name)
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.process.id()).unwrap()).unwrap()
    }

    /// Kills it with SIGKILL.
    pub fn kill(mut self) {
        self.process.kill().unwrap();
        let ended = self.process.wait().unwrap();
        assert!(ended.code().is_none(), "{} was to be killed, but ended by itself: {ended}", self.name);
    }

    /// Stops it with SIGSTOP, and waits until it stands.
    pub fn stop(&self) {
        kill_process(self.pid(), Signal::STOP).unwrap();
        waitid(WaitId::Pid(self.pid()), WaitIdOptions::STOPPED).unwrap();
    }

    /// Lets it continue.
    pub fn continue_(&self) {
        kill_process(self.pid(), Signal::CONT).unwrap();
    }

    /// Tells it to go on from where it is held.
    pub fn go_on(&mut self) {
        writeln!(self.process.stdin.as_mut().unwrap(), "go on").unwrap();
    }

    /// Tells it to end, as a service is told to, and waits until it has: without an error.
    pub fn end(mut self) {
        drop(self.process.stdin.take());
        let ended = self.process.wait().unwrap();
        assert!(ended.success(), "{}: {ended}", self.name);
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        // It may be gone already.
        drop(self.process.kill());
        drop(self.process.wait());
        if let Some(reader) = self.reader.take() {
            drop(reader.join());
        }
    }
}
