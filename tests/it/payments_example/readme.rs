//! The session in the example's README, repeated: every command, and every line of what it prints.

use std::{path::Path, process::Command};

use annals::{
    ResponseStore as _,
    store::{ResponseQuery, ResponseState},
};
use tempfile::tempdir;

use super::{
    process::{database, until},
    program::Service,
};
use crate::order_example::program::text;

const README: &str = "examples/payments_api/README.md";

#[tokio::test(flavor = "multi_thread")]
async fn the_session_in_the_readme_is_what_happens() {
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(README)).unwrap();
    let written: Vec<&str> = readme.split("```console\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    let folder = tempdir().unwrap();
    let store = database(folder.path()).await;
    let mut service = None;
    let mut behind = Vec::new();
    for session in &written {
        let mut happened = String::new();
        for command in session.lines().filter_map(|line| line.strip_prefix("$ ")) {
            happened += &format!("$ {command}\n");
            if command.starts_with("cargo run") {
                let (_, arguments) = command.split_once(" -- ").unwrap_or((command, ""));
                let arguments: Vec<&str> = arguments.split_whitespace().collect();
                service = Some(Service::begin(folder.path(), &arguments));
                happened += "listening on http://127.0.0.1:8080\n";
                continue;
            }
            let service: &Service = service.as_ref().expect("the session begins with the service");
            let curl = command.replace("localhost:8080", &service.address().to_string());
            assert!(curl.starts_with("curl "), "{curl}");
            let mut shell = Command::new("sh");
            shell.current_dir(folder.path()).arg("-c");
            match curl.strip_suffix(" &") {
                Some(curl) => {
                    behind.push(shell.arg(curl).spawn().unwrap());
                    // The next command is for when this one is being carried out.
                    let query =
                        ResponseQuery { state: Some(ResponseState::Running), limit: 1, ..ResponseQuery::default() };
                    until("a claim", async || store.list_responses(&query).await.unwrap().pop()).await;
                }
                None => {
                    let output = shell.arg(curl).output().unwrap();
                    let err = text(&output.stderr);
                    assert!(output.status.success(), "{command}: {err} (it needs curl)");
                    happened += &text(&output.stdout).replace('\r', "");
                    if !happened.ends_with('\n') {
                        happened.push('\n');
                    }
                }
            }
        }
        let (happened, session) = (without_times(&happened), without_times(session));
        assert_eq!(happened, session, "what happened:\n{happened}");
    }
    assert!(written.len() >= 5, "the README has lost its session");
    for mut behind in behind {
        assert!(behind.wait().unwrap().success());
    }
}

/// Leaves out when it was, and how long.
fn without_times(session: &str) -> String {
    // Nor how long a text is that the crate says in its own words.
    let lines = session.lines().filter(|line| !line.starts_with("date: ") && !line.starts_with("content-length: "));
    let lines = lines.map(|line| match line.split_once("\"created\":") {
        Some((before, rest)) => {
            format!("{before}\"created\":…{}", rest.trim_start_matches(|digit: char| digit.is_ascii_digit()))
        }
        None => line.to_owned(),
    });
    lines.map(|line| line + "\n").collect()
}
