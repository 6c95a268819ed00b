//! The servers that tests run: found or asked for, and gone with the tests.

use std::{path::Path, process::Command};

use crate::redis_server::{Server, program::Search};

fn is_there(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

#[test]
fn a_missing_program_is_asked_for() {
    let nowhere = Search { named: None, path: Some("/nowhere".into()), folders: vec![] };
    assert!(nowhere.find().unwrap_err().contains("Install Redis"));
    let wrong = Search { named: Some("/nowhere".into()), ..Search::here() };
    assert!(wrong.find().unwrap_err().contains("ANNALS_TEST_REDIS_BIN=/nowhere"));
    let found = Search { named: None, ..Search::here() }.find().unwrap();
    assert_eq!(Search { named: Some(found.clone().into()), ..nowhere.clone() }.find().unwrap(), found);
    let folder = found.parent().unwrap();
    assert_eq!(Search { named: Some(folder.into()), ..nowhere }.find().unwrap(), found);
}

#[test]
fn a_server_is_gone_with_its_value_also_where_it_is_frozen() {
    let mut server = Server::start();
    let (pids, folder) = (server.pids(), server.folder().to_owned());
    assert!(is_there(pids.0) && is_there(pids.1) && folder.is_dir());
    server.freeze();
    drop(server);
    assert!(!is_there(pids.0) && !is_there(pids.1) && !folder.exists());
}

/// Runs as a child of the test below: it starts a server, says which, and waits to be killed.
#[test]
#[ignore = "it is killed by another test"]
fn a_process_with_a_server() {
    let server = Server::start();
    println!("server {}", server.pids().0);
    std::io::stdin().read_line(&mut String::new()).unwrap();
}

#[test]
fn a_server_is_gone_when_its_process_is_killed() {
    use std::io::{BufRead as _, BufReader};
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "redis::program::a_process_with_a_server", "--nocapture"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let pid = lines.filter_map(|line| line.split_once("server ")?.1.trim().parse().ok()).next().unwrap();
    assert!(is_there(pid));
    child.kill().unwrap();
    child.wait().unwrap();
    let start = std::time::Instant::now();
    while is_there(pid) {
        assert!(start.elapsed() < super::LONGEST_WAIT, "the server outlives its process");
        std::thread::yield_now();
    }
}
