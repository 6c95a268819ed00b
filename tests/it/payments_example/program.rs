//! The example as a process that answers HTTP.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Child, ExitStatus, Stdio},
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open},
};
use serde_json::Value;

use crate::order_example::program::example;

/// How long anything may take that should take no time.
pub const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// A running service, gone when it is dropped.
pub struct Service {
    process: Child,
    address: SocketAddr,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Service {
    /// Begins the example on a free port, with its database in this folder; it answers when this returns.
    pub fn begin(folder: &Path, arguments: &[&str]) -> Self {
        let mut example = example("payments_api");
        example.current_dir(folder).args(["--listen", "127.0.0.1:0"]).args(arguments).stderr(Stdio::inherit());
        let mut process = example.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim_end().strip_prefix("listening on http://").and_then(|address| address.parse().ok());
        let address = address.unwrap_or_else(|| panic!("the service says {line:?} first: {:?}", process.wait()));
        Self { process, address }
    }

    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn get(&self, path: &str) -> Answer {
        self.send(&format!("GET {path} HTTP/1.1\r\n{HEADERS}\r\n")).expect("the service answers")
    }

    /// Posts a form under a key. `None`: the connection ended without an answer.
    pub fn post(&self, path: &str, key: &str, form: &str) -> Option<Answer> {
        let length = form.len();
        self.send(&format!(
            "POST {path} HTTP/1.1\r\n{HEADERS}Idempotency-Key: \"{key}\"\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {length}\r\n\r\n{form}"
        ))
    }

    fn send(&self, request: &str) -> Option<Answer> {
        let mut connection = TcpStream::connect(self.address).ok()?;
        connection.set_read_timeout(Some(LONGEST_WAIT)).unwrap();
        connection.write_all(request.as_bytes()).ok()?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some(Answer { status, head: head.to_ascii_lowercase(), body: body.to_owned() })
    }

    /// Says that it should end, as service managers do.
    pub fn tell_to_end(&self) {
        self.signal(Signal::TERM);
    }

    /// Kills it where it stands.
    pub fn kill(&self) {
        self.signal(Signal::KILL);
    }

    fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.process.id().cast_signed()).unwrap()
    }

    /// How it ended, once it has.
    pub fn ended(mut self) -> ExitStatus {
        let process = pidfd_open(self.pid(), PidfdFlags::empty()).unwrap();
        let longest = Timespec { tv_sec: LONGEST_WAIT.as_secs().cast_signed(), tv_nsec: 0 };
        let ended = poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&longest)).unwrap();
        assert_eq!(ended, 1, "the service does not end");
        self.process.wait().unwrap()
    }
}

const HEADERS: &str = "Host: localhost\r\nAuthorization: Bearer sk_test_1\r\nConnection: close\r\n";

impl Drop for Service {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub fn is_replay(&self) -> bool {
        self.head.contains("\r\nidempotent-replayed: true")
    }
}
