//! The shell that holds a server, and the pipes to it.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    time::Duration,
};

use tokio::{sync::mpsc, time::timeout};

use super::account::{Account, is_open_to_all};

/// What the shell runs.
pub const SUPERVISE: &str = include_str!("supervise.sh");
/// The longest a server is given to start or to stop, recovery included.
const LONGEST_WAIT: Duration = Duration::from_secs(120);
/// How much of a server's log an error shows, in lines.
const LINES_OF_LOG: usize = 20;
/// A socket's path has at most 107 bytes; a server's directory and its socket take up to 40 of them.
const LONGEST_PLACE_BYTES: usize = 65;
/// More answers than a shell gives between two questions.
const ANSWERS: usize = 16;

/// What a server needs to know before it is there.
#[derive(Debug, Clone, Default)]
pub struct Conditions {
    /// The password for TCP. Without one nothing but the unix socket is listened on.
    pub password: Option<String>,
    /// Whether the data lies in memory, where that has room.
    pub in_memory: bool,
    /// The connection string of the server that it is a standby of, where it is one.
    pub primary: Option<String>,
}

/// The shell that holds one server. It ends, and with it the server, with this value or this process.
#[derive(Debug)]
pub struct Supervisor {
    shell: Child,
    words: Option<ChildStdin>,
    answers: mpsc::Receiver<String>,
    folder: PathBuf,
}

impl Supervisor {
    /// Starts the shell. The server is not ready yet; the directory is there.
    pub async fn spawn(binaries: &Path, conditions: &Conditions, options: &[String]) -> Result<Self, String> {
        let account = Account::to_change_to()?;
        if let Some(account) = account.as_ref().filter(|_| !is_open_to_all(binaries)) {
            let (folder, name) = (binaries.display(), &account.name);
            return Err(format!("{folder}: the server runs as {name}, who cannot get there; put it where all can"));
        }
        let place = place(account.is_some())?;
        let mut command = Command::new("sh");
        command.args(["-c", SUPERVISE, "supervise"]).arg(binaries).arg(&place).args(options);
        // What speaks of another server to PostgreSQL's programs.
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PG")) {
            command.env_remove(name);
        }
        command.env("LC_ALL", "C").current_dir("/").process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        command.env("ANNALS_TEST_PG_PASSWORD", conditions.password.as_deref().unwrap_or_default());
        command.env("ANNALS_TEST_PG_PRIMARY", conditions.primary.as_deref().unwrap_or_default());
        command.env("ANNALS_TEST_PG_MEMORY", if conditions.in_memory { "1" } else { "" });
        if let Some(account) = &account {
            account.run(&mut command);
        }
        let mut shell = command.spawn().map_err(|error| format!("no shell to run PostgreSQL in: {error}"))?;
        let (sender, answers) = mpsc::channel(ANSWERS);
        let lines = BufReader::new(shell.stdout.take().ok_or("the shell has no output")?).lines();
        std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| sender.blocking_send(line)));
        let words = shell.stdin.take();
        let mut supervisor = Self { shell, words, answers, folder: PathBuf::new() };
        let answer = supervisor.answer().await?;
        let Some(folder) = answer.strip_prefix("folder ") else {
            return Err(format!("no directory for PostgreSQL could be made in {}", place.display()));
        };
        supervisor.folder = folder.into();
        Ok(supervisor)
    }

    /// The server's directory: its socket, its log and its data.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The shell's process id.
    pub fn pid(&self) -> u32 {
        self.shell.id()
    }

    /// Says a word to the shell.
    pub fn say(&mut self, word: &str) -> Result<(), String> {
        let words = self.words.as_mut().ok_or("the shell that holds PostgreSQL is gone")?;
        writeln!(words, "{word}").map_err(|error| format!("the shell that holds PostgreSQL is gone: {error}"))
    }

    /// Waits until the server takes connections: its process id.
    pub async fn ready(&mut self) -> Result<u32, String> {
        let answer = self.answer().await?;
        let pid = answer.strip_prefix("ready ").and_then(|pid| pid.parse().ok());
        pid.ok_or_else(|| format!("PostgreSQL did not start; the end of its log:\n{}", self.end_of_log()))
    }

    /// Waits until the server has stopped and none of its processes is left.
    pub async fn stopped(&mut self) -> Result<(), String> {
        match self.answer().await?.as_str() {
            "stopped" => Ok(()),
            other => Err(format!("PostgreSQL did not stop: {other}")),
        }
    }

    async fn answer(&mut self) -> Result<String, String> {
        match timeout(LONGEST_WAIT, self.answers.recv()).await {
            Ok(Some(answer)) => Ok(answer),
            Ok(None) => Err("the shell that holds PostgreSQL is gone".into()),
            Err(_) => Err(format!("no answer about PostgreSQL in {LONGEST_WAIT:?}:\n{}", self.end_of_log())),
        }
    }

    fn end_of_log(&self) -> String {
        let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LINES_OF_LOG)..].join("\n")
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.words = None;
        // The directory is gone when the shell is: whoever looks afterwards finds nothing.
        let _ = self.shell.wait();
    }
}

/// The folder that servers' directories are made in: the temporary one, where a server's socket can lie in it.
fn place(other_account: bool) -> Result<PathBuf, String> {
    let fits = |place: &PathBuf| {
        let is_short = place.as_os_str().len() <= LONGEST_PLACE_BYTES;
        is_short && place.is_dir() && (!other_account || is_open_to_all(place))
    };
    let places = [std::env::temp_dir(), "/tmp".into(), "/var/tmp".into()];
    places.into_iter().find(fits).ok_or_else(|| "there is no temporary folder a server can lie in".into())
}
