//! A server of one's own, and the run's.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::{Ipv4Addr, TcpListener},
    ops::Range,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU16, Ordering},
        mpsc,
    },
    time::Duration,
};

use super::program::Search;

const SUPERVISE: &str = include_str!("supervise.sh");
/// Below those that systems give to outgoing connections: a server that is started again finds its own free.
const PORTS: Range<u16> = 27_300..30_000;
/// Another process can take a port between the look and the start.
const PORTS_TRIED: usize = 5;
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// A NATS server of one's own. It is ended with this value or this process.
#[derive(Debug)]
pub struct Server {
    shell: Child,
    words: Option<ChildStdin>,
    answers: mpsc::Receiver<String>,
    folder: PathBuf,
    port: u16,
    pid: u32,
}

/// The URL of the run's server.
///
/// # Panics
///
/// Where none can be had.
pub fn url() -> String {
    // A static is not dropped: the pipe to its shell closes with the process.
    static SERVER: OnceLock<std::sync::Mutex<Server>> = OnceLock::new();
    std::env::var("NATS_URL").unwrap_or_else(|_| {
        let server = SERVER.get_or_init(|| std::sync::Mutex::new(Server::start()));
        server.lock().unwrap().url()
    })
}

impl Server {
    /// Starts a server.
    ///
    /// # Panics
    ///
    /// Where none can be started, with what to do about it: a test without its server has failed.
    pub fn start() -> Self {
        let program = Search::here().find().unwrap_or_else(|error| panic!("{error}"));
        let mut failed = String::new();
        for _ in 0..PORTS_TRIED {
            match Self::spawn(&program, free_port()) {
                Ok(server) => return server,
                Err(error) => failed = error,
            }
        }
        panic!("NATS did not start from {}: {failed}", program.display());
    }

    fn spawn(program: &Path, port: u16) -> Result<Self, String> {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", SUPERVISE, "supervise"]).arg(program).arg(port.to_string()).arg(std::env::temp_dir());
        // A group of its own: what ends the tests from a terminal does not end what cleans up.
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).process_group(0);
        let mut shell = command.spawn().map_err(|error| error.to_string())?;
        let (sender, answers) = mpsc::sync_channel(16);
        let lines = BufReader::new(shell.stdout.take().ok_or("no output")?).lines();
        std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let words = shell.stdin.take();
        let mut server = Self { shell, words, answers, folder: PathBuf::new(), port, pid: 0 };
        server.folder = server.answer("folder ")?.into();
        server.pid = server.answer("ready ")?.parse().map_err(|_| "no process id")?;
        Ok(server)
    }

    pub const fn port(&self) -> u16 {
        self.port
    }

    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// The process id of the server, and that of the shell that holds it.
    pub fn pids(&self) -> (u32, u32) {
        (self.pid, self.shell.id())
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Ends the server at once, as a crash does.
    pub fn stop(&mut self) {
        self.say("stop", "stopped");
    }

    /// Starts it again on its port, with the streams it had.
    pub fn start_again(&mut self) {
        self.pid = self.say("start", "ready ").parse().expect("a process id");
    }

    /// Stops its process where it stands. Connections stay open, and are taken.
    pub fn freeze(&mut self) {
        self.say("freeze", "frozen");
    }

    pub fn thaw(&mut self) {
        self.say("thaw", "thawed");
    }

    fn say(&mut self, word: &str, expected: &str) -> String {
        writeln!(self.words.as_mut().expect("the pipe is open"), "{word}").expect("the shell that holds NATS is there");
        self.answer(expected).unwrap_or_else(|error| panic!("{word}: {error}"))
    }

    fn answer(&self, expected: &str) -> Result<String, String> {
        let answer = self.answers.recv_timeout(LONGEST_WAIT).map_err(|error| error.to_string())?;
        answer.strip_prefix(expected).map(str::to_owned).ok_or_else(|| {
            format!("{answer}: {}", std::fs::read_to_string(self.folder.join("log")).unwrap_or_default())
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.words = None;
        // Server and directory are gone when the shell is.
        let _ = self.shell.wait();
    }
}

fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = std::process::id() * 7;
    let count = u32::from(PORTS.end - PORTS.start);
    (0..count)
        .filter_map(|_| {
            let next = first.wrapping_add(u32::from(NEXT.fetch_add(1, Ordering::Relaxed)));
            u16::try_from(u32::from(PORTS.start) + next % count).ok()
        })
        .find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
        .expect("a free port")
}
