//! Other processes: this test binary, started once more to run one of its tests.

use std::process::{Command, Stdio};

/// Names the file a child process works on. Where it is not set, a child's test has nothing to do and passes.
pub const FILE: &str = "ANNALS_TEST_CHILD_FILE";
/// Tells children apart.
pub const NAME: &str = "ANNALS_TEST_CHILD_NAME";

/// A command that runs one test of this binary, behind a program such as a tracer where there is one.
pub fn command(test: &str, file: &std::path::Path, name: &str, behind: &[String]) -> Command {
    let own = std::env::current_exe().unwrap();
    let mut command = match behind.split_first() {
        None => Command::new(own),
        Some((program, arguments)) => {
            let mut command = Command::new(program);
            command.args(arguments).arg(own);
            command
        }
    };
    command.args([test, "--exact", "--nocapture", "--test-threads=1"]);
    command.env(FILE, file).env(NAME, name).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// The file this process was started to work on, where it is a child.
pub fn file() -> Option<std::path::PathBuf> {
    std::env::var_os(FILE).map(Into::into)
}

pub fn name() -> String {
    std::env::var(NAME).unwrap_or_default()
}

/// Says something to the parent, on a line of its own.
pub fn say(line: &str) {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    writeln!(out, "\nsays {line}").and_then(|()| out.flush()).unwrap();
}

/// What a child has said on a line, where it has.
pub fn said(line: &str) -> Option<&str> {
    line.strip_prefix("says ")
}
