//! Runs the program as operators run it.

use std::{
    io::Write as _,
    process::{Command, Output, Stdio},
};

/// The program with these arguments, without a database from outside and with nobody to ask.
pub fn annals(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_annals"));
    command
        .args(args)
        .env_remove("DATABASE_URL")
        .env_remove("ANNALS_SCHEMA")
        .env_remove("NO_COLOR")
        .stdin(Stdio::null());
    command
}

/// Runs it: the exit code, what it wrote to standard output, and to standard error.
pub fn run(args: &[&str]) -> (i32, String, String) {
    ended(annals(args).output().unwrap())
}

/// Runs it on a database that is named by the environment.
pub fn run_on(url: &str, args: &[&str]) -> (i32, String, String) {
    ended(annals(args).env("DATABASE_URL", url).output().unwrap())
}

/// Runs it where it has to be done, with nothing to say, and gives what it wrote to standard output.
#[track_caller]
pub fn done_on(url: &str, args: &[&str]) -> String {
    let (code, out, err) = run_on(url, args);
    assert_eq!((code, err.as_str()), (0, ""), "{args:?}: {out}");
    out
}

/// Runs it with something to read on its standard input.
pub fn run_with_input(url: &str, args: &[&str], input: &[u8]) -> (i32, String, String) {
    let mut command = annals(args);
    let piped = command.env("DATABASE_URL", url).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().unwrap();
    // Whoever does not want it closes the pipe.
    let _ = child.stdin.take().unwrap().write_all(input);
    ended(child.wait_with_output().unwrap())
}

pub fn ended(output: Output) -> (i32, String, String) {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().expect("it was not killed"), text(output.stdout), text(output.stderr))
}
