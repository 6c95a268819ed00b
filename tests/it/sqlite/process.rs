//! A test of this binary, run as a process of its own.

use std::{
    env,
    io::{BufRead as _, BufReader, Lines, Write as _, stdin},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

const DATABASE: &str = "ANNALS_TEST_DATABASE";

/// Begins a line that is meant for the other process: the test harness writes lines as well.
const MARK: &str = "answer: ";

/// The other process, seen from the test that started it. Killed when it is dropped.
pub struct Process {
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl Process {
    /// Runs an ignored test of this binary, named by its whole path, on a database.
    pub fn start(test: &str, database: &Path) -> Self {
        let mut child = Command::new(env::current_exe().unwrap())
            .args([test, "--exact", "--ignored", "--nocapture"])
            .env(DATABASE, database)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = child.stdin.take().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, input, output }
    }

    /// Sends a line.
    pub fn tell(&mut self, line: &str) {
        writeln!(self.input, "{line}").unwrap();
    }

    /// Waits for a line.
    pub fn answer(&mut self) -> String {
        let mut seen = Vec::new();
        for line in self.output.by_ref() {
            let line = line.unwrap();
            if let Some((_, answer)) = line.split_once(MARK) {
                return answer.to_owned();
            }
            seen.push(line);
        }
        panic!("the process ended without an answer, after:\n{}", seen.join("\n"));
    }
}

impl Drop for Process {
    /// SIGKILL: no destructor of the process runs, nothing is flushed.
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// In the other process: its database.
pub fn database() -> PathBuf {
    env::var_os(DATABASE).expect("run by another test, as a process of its own").into()
}

/// In the other process: sends a line.
pub fn answer(line: &str) {
    println!("\n{MARK}{line}");
}

/// In the other process: waits for a line; ends the process where nobody will send one.
pub fn told() -> String {
    let mut line = String::new();
    if stdin().read_line(&mut line).unwrap() == 0 {
        std::process::exit(1);
    }
    line.trim_end().to_owned()
}
