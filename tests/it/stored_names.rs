//! The stored-names check as a user's test calls it, in a process of its own for its environment's sake.

use std::{path::Path, process::Command};

use annals::{Aggregate, testing::assert_stored_names};
use serde::{Deserialize, Serialize};

#[derive(Debug, Default)]
struct Lamp;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "kebab-case")]
enum Event {
    SwitchedOn,
    Dimmed { percent: u8 },
}

#[derive(Debug, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[error("no")]
struct No;

impl Aggregate for Lamp {
    const TYPE: &'static str = "lamp";
    type Command = ();
    type Event = Event;
    type Rejection = No;

    fn decide(&self, (): &()) -> Result<Vec<Event>, No> {
        Err(No)
    }

    fn evolve(&mut self, _: &Event) {}
}

/// Names the file for the process that is started by the test below.
const FILE: &str = "ANNALS_TEST_STORED_NAMES_FILE";

#[test]
fn in_a_process_of_its_own() {
    if let Some(file) = std::env::var_os(FILE) {
        assert_stored_names::<Lamp>([Event::SwitchedOn, Event::Dimmed { percent: 40 }], file);
    }
}

/// Whether the check passes, and what it says.
fn run(file: &Path, update: &str) -> (bool, String) {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "stored_names::in_a_process_of_its_own"])
        .env(FILE, file)
        .env("ANNALS_UPDATE_STORED_NAMES", update)
        .output()
        .unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn the_environment_says_whether_the_file_is_updated() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("lamp.jsonl");
    for not_update in ["", "0"] {
        let (passes, said) = run(&file, not_update);
        assert!(!passes && said.contains("run this test once with ANNALS_UPDATE_STORED_NAMES=1"), "{said}");
        assert!(said.contains("tests/it/stored_names.rs"), "the failure points at the test: {said}");
        assert!(!file.exists());
    }
    let (passes, said) = run(&file, "1");
    assert!(passes, "{said}");
    let lines = "{\"type\":\"switched-on\",\"schema_version\":1,\"payload\":null}\n\
                 {\"type\":\"dimmed\",\"schema_version\":1,\"payload\":{\"percent\":40}}\n";
    assert_eq!(std::fs::read_to_string(&file).unwrap(), lines);
    let (passes, said) = run(&file, "");
    assert!(passes, "{said}");
}
