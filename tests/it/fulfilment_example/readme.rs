//! The sessions in the example's README, repeated: every command, and every line of what it prints but for the figures.

use std::{path::Path, process::Command};

use super::place::Place;
use crate::order_example::program::text;

const README: &str = "examples/fulfilment/README.md";

/// How the README runs the example, where these tests run what was built.
const RUN: &str = "cargo run -q --example fulfilment --features http,client";

#[tokio::test]
async fn the_sessions_in_the_readme_of_fulfilment_are_what_happens() {
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(README)).unwrap();
    let sessions: Vec<&str> =
        readme.split("```console\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(sessions.len() >= 3, "the README has lost its sessions");
    let place = Place::on_files().await;
    let fulfilment = place.fulfilment().get_program().to_owned();
    for session in sessions {
        let mut happened = String::new();
        for command in session.lines().filter_map(|line| line.strip_prefix("$ ")) {
            let line = command.strip_prefix(RUN).unwrap_or_else(|| panic!("{command:?} begins with {RUN:?}"));
            let line = line.strip_prefix(" --").unwrap_or(line);
            let mut shell = Command::new("sh");
            let output = shell.arg("-c").arg(format!("\"$FULFILMENT\"{line}")).env("FULFILMENT", &fulfilment).output();
            let output = output.unwrap();
            assert!(output.status.success(), "{command}: {}{}", text(&output.stdout), text(&output.stderr));
            happened += &format!("$ {command}\n{}\n", text(&output.stdout).trim_end());
        }
        assert_eq!(without_figures(&happened), without_figures(session), "what happened:\n{happened}");
    }
}

/// What is drawn by the machine's time differs: where there are many orders, how many and how much. Not so in the story.
fn without_figures(session: &str) -> String {
    if !session.contains("--orders") {
        return session.to_owned();
    }
    let is_figure = |letter: char| letter.is_ascii_digit() || letter == '.';
    let words = |line: &str| {
        let words = line.split_whitespace().map(|word| if word.starts_with(is_figure) { "…" } else { word });
        words.collect::<Vec<_>>().join(" ") + "\n"
    };
    session.lines().map(|line| if line.starts_with("$ ") { line.to_owned() + "\n" } else { words(line) }).collect()
}
