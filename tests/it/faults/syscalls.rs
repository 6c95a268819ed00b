//! System calls that fail, one after another: injected by strace beneath an unchanged process.

use std::{
    collections::HashMap,
    path::Path,
    process::{Command, Output},
};

use annals::{Error, ExecuteError, Fault, Repository, Retry, SqliteStore};

use super::{
    child,
    ledger::Ledger,
    log_check::check_file,
    tally::{Request, Tally, answer_line},
};
use crate::campaign;

const REQUESTS: usize = 12;

/// The error of an answer in a word, where it is one that a failing disk may end in.
fn error_word(error: &Error) -> &'static str {
    match error {
        Error::OutcomeUnknown { .. } => "unknown",
        Error::Backend { fault: Fault::Io, .. } => "io",
        Error::Backend { fault: Fault::Full, .. } => "full",
        Error::Backend { fault: Fault::ReadOnly, .. } => "read-only",
        // What SQLite makes of a page it could not read.
        Error::Backend { fault: Fault::Corrupt, .. } => "corrupt",
        Error::Unavailable { .. } => "unavailable",
        Error::Contention { .. } => "contention",
        other => panic!("not what a failing disk ends in: {other:?}"),
    }
}

/// Runs requests, each once, says the answers, and runs those that failed again.
#[test]
fn child_runs_commands_on_a_failing_disk() {
    let Some(path) = child::file() else { return };
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let store = match SqliteStore::open(path).await {
            Ok(store) => store,
            Err(error) => return child::say(&format!("open!{}", error_word(&error))),
        };
        let tallies = Repository::<Tally>::new(&store).retry(Retry::never());
        let mut failed = Vec::new();
        for number in 0..REQUESTS {
            let key = format!("{}-{number}", child::name());
            match Request::of(&key).run(&tallies).await {
                Err(ExecuteError::Store(error)) => {
                    child::say(&format!("{key}!{}", error_word(&error)));
                    failed.push(key);
                }
                answer => child::say(&format!("{key}:{}", answer_line(&answer).unwrap())),
            }
        }
        for key in failed {
            match Request::of(&key).run(&tallies).await {
                Err(ExecuteError::Store(error)) => child::say(&format!("{key}!!{}", error_word(&error))),
                answer => child::say(&format!("{key}:{}", answer_line(&answer).unwrap())),
            }
        }
        child::say("end");
    });
}

/// What a child said: acknowledged answers, and errors.
struct Said {
    acknowledged: HashMap<String, String>,
    errors: Vec<String>,
    reached_its_end: bool,
}

fn run(path: &Path, name: &str, calls: &str, error: &str, when: &str) -> Said {
    let folder = path.parent().unwrap();
    let mut behind: Vec<String> =
        ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "signal=none"].map(str::to_owned).into();
    behind.extend(["-e".to_owned(), format!("trace={calls}")]);
    for suffix in ["", "-wal", "-shm", "-journal"] {
        behind.extend(["-P".to_owned(), folder.join(format!("events.db{suffix}")).display().to_string()]);
    }
    behind.extend(["-e".to_owned(), format!("inject={calls}:error={error}:when={when}")]);
    let test = "faults::syscalls::child_runs_commands_on_a_failing_disk";
    let Output { status, stdout, stderr } = child::command(test, path, name, &behind).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{calls} {error} at {when}: {out}\n{err}");
    let mut said = Said { acknowledged: HashMap::new(), errors: Vec::new(), reached_its_end: false };
    for line in out.lines().filter_map(child::said) {
        if let Some((key, answer)) = line.split_once(':') {
            said.acknowledged.insert(key.to_owned(), answer.to_owned());
        } else if line.contains('!') {
            said.errors.push(line.to_owned());
        } else {
            said.reached_its_end |= line == "end";
        }
    }
    said
}

/// Why system calls cannot be made to fail here, where they cannot.
fn hindrance() -> Option<String> {
    let probe = ["-f", "-qq", "-o", "/dev/null", "-e", "trace=fsync", "-e", "inject=fsync:error=EIO:when=1", "true"];
    match Command::new("strace").args(probe).output() {
        Err(error) => Some(format!("strace cannot be started: {error}")),
        Ok(output) if !output.status.success() => {
            Some(format!("strace may not trace: {}", String::from_utf8_lossy(&output.stderr).trim()))
        }
        Ok(_) => None,
    }
}

/// The calls by which SQLite writes, with the errors they can end in.
const CALLS: [(&str, &str); 5] = [
    ("fsync,fdatasync", "EIO"),
    ("pwrite64,write", "EIO"),
    ("pwrite64,write", "ENOSPC"),
    ("ftruncate,fallocate", "ENOSPC"),
    ("pread64,read", "EIO"),
];

#[test]
fn no_failing_system_call_loses_or_doubles_a_command() {
    if let Some(reason) = hindrance() {
        println!("NOT RUN: no_failing_system_call_loses_or_doubles_a_command: {reason}");
        return;
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut random = fastrand::Rng::with_seed(fastrand::u64(..));
    println!("seed {}", random.get_seed());
    let mut errors_met = 0;
    for round in 0..campaign::sized(6) {
        for (calls, error) in CALLS {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("events.db");
            // A file with a schema, every other time: the first calls of a new file are those of its migration.
            if round % 2 == 0 {
                runtime.block_on(async { SqliteStore::open(&path).await.unwrap().close().await });
            }
            let at = random.u32(1..30);
            // Once, or from then on.
            let when = if random.u8(..3) == 0 { format!("{at}+") } else { at.to_string() };
            let name = format!("r{round}");
            let context = format!("{calls} {error} at {when}, round {round}");
            println!("{context}");
            let said = run(&path, &name, calls, error, &when);
            errors_met += said.errors.len();
            let opened = !said.errors.iter().any(|error| error.starts_with("open!"));
            assert_eq!(said.reached_its_end, opened, "{context}");
            runtime.block_on(async {
                let store = SqliteStore::open(&path).await.unwrap();
                let checked = check_file(&store, &path).await;
                Ledger { acknowledged: said.acknowledged }.check(&store, &checked).await;
                let tallies = Repository::<Tally>::new(&store);
                for number in 0..REQUESTS {
                    Request::of(&format!("{name}-{number}")).run(&tallies).await.ok();
                }
                let checked = check_file(&store, &path).await;
                assert_eq!(checked.receipts, REQUESTS, "{context}");
            });
        }
    }
    assert!(errors_met > 0, "no injected error was ever seen");
}
