//! `annals log --follow`.

use std::{
    io::{BufRead as _, BufReader, Lines},
    process::{Child, ChildStderr, ChildStdout, Stdio},
    sync::Arc,
};

use annals::{Append, EventStore, EventStoreExt as _, ManualClock, Metadata};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use uuid::Uuid;

use super::{event, id};
use crate::cli::{place::on_both, program::annals};

on_both! {
    events_are_shown_as_they_come_until_an_interruption
    events_to_come_are_chosen_as_those_that_are_there
    whoever_follows_while_others_write_sees_every_event_once_and_in_order
    a_follower_whose_reader_has_gone_ends_quietly
}

/// The program at work.
struct Follower {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    words: Lines<BufReader<ChildStderr>>,
}

impl Follower {
    fn start(url: &str, args: &[&str]) -> Self {
        let mut command = annals(&[&["log", "--follow"], args].concat());
        command.env("DATABASE_URL", url).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let words = BufReader::new(child.stderr.take().unwrap()).lines();
        Self { child, lines, words }
    }

    /// Waits for the next line.
    fn line(&mut self) -> String {
        self.lines.next().expect("it goes on").unwrap()
    }

    fn position(&mut self) -> u64 {
        let line = self.line();
        serde_json::from_str::<Value>(&line).unwrap_or_else(|_| panic!("{line}"))["position"].as_u64().unwrap()
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for its end: the code, and what it had still to say.
    fn end(mut self) -> (Option<i32>, String, String) {
        let rest = |lines: &mut dyn Iterator<Item = std::io::Result<String>>| {
            lines.map(|line| line.unwrap() + "\n").collect::<String>()
        };
        let (out, err) = (rest(&mut self.lines), rest(&mut self.words));
        (self.child.wait().unwrap().code(), out, err)
    }
}

async fn note(store: &dyn EventStore, aggregate_type: &'static str, correlation: &str) {
    let append = Append::new(aggregate_type, Uuid::now_v7()).metadata(Metadata::new().correlation_id(correlation));
    store.append_one(append.event(event("noted", "{}"))).await.unwrap();
}

async fn events_are_shown_as_they_come_until_an_interruption(
    url: &str,
    store: impl EventStore,
    _clock: Arc<ManualClock>,
) {
    note(&store, "order", "a").await;
    note(&store, "order", "b").await;
    for (signal, format) in [(Signal::INT, "jsonl"), (Signal::TERM, "json")] {
        let mut follower = Follower::start(url, &["--last", "1", "--format", format]);
        let head = store.head().await.unwrap().get();
        if format == "json" {
            // The array is ended, though its end was not waited for.
            assert_eq!(follower.line(), "[");
            follower.signal(signal);
            let (code, out, err) = follower.end();
            let events: Vec<Value> = serde_json::from_str(&format!("[{out}")).unwrap();
            assert_eq!((code, events.len(), err), (Some(0), 1, String::new()));
            assert_eq!(events[0]["position"], head);
            continue;
        }
        assert_eq!(follower.position(), head);
        for more in 1..=3 {
            note(&store, "order", "a").await;
            assert_eq!(follower.position(), head + more);
        }
        follower.signal(signal);
        assert_eq!(follower.end(), (Some(0), String::new(), String::new()));
    }
    // For people, with the headings once.
    let mut follower = Follower::start(url, &["--last", "1"]);
    assert!(follower.line().starts_with("POSITION  RECORDED AT"));
    assert!(follower.line().contains("  order  "));
    note(&store, "refund", "a").await;
    assert!(follower.line().contains("  refund  "));
    follower.signal(Signal::INT);
    assert_eq!(follower.end().0, Some(0));
}

async fn events_to_come_are_chosen_as_those_that_are_there(
    url: &str,
    store: impl EventStore,
    _clock: Arc<ManualClock>,
) {
    note(&store, "order", "mine").await;
    let args = ["--type", "order,refund", "--correlation", "mine", "--since", "2020-01-01", "--limit", "4"];
    let mut follower = Follower::start(url, &[&args[..], &["--format", "jsonl"]].concat());
    assert_eq!(follower.position(), 1);
    for (kind, correlation) in [("parcel", "mine"), ("refund", "mine"), ("order", "other"), ("order", "mine")] {
        note(&store, kind, correlation).await;
    }
    assert_eq!([follower.position(), follower.position()], [3, 5]);
    note(&store, "refund", "mine").await;
    note(&store, "refund", "mine").await;
    assert_eq!(follower.position(), 6);
    // It has seen as many as it was to see.
    assert_eq!(follower.end(), (Some(0), String::new(), String::new()));
}

async fn whoever_follows_while_others_write_sees_every_event_once_and_in_order(
    url: &str,
    store: impl EventStore + Clone + 'static,
    _clock: Arc<ManualClock>,
) {
    const WRITERS: u64 = 4;
    const APPENDS: u64 = 200;
    note(&store, "order", "a").await;
    let all = 1 + WRITERS * APPENDS;
    let mut follower = Follower::start(url, &["--after", "0", "--limit", &all.to_string(), "--format", "jsonl"]);
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let store = store.clone();
            tokio::spawn(async move {
                for _ in 0..APPENDS {
                    let append = Append::new("order", id("order", &writer.to_string()));
                    store.append_one(append.event(event("noted", "{}"))).await.unwrap();
                }
            })
        })
        .collect();
    let seen: Vec<u64> = (0..all).map(|_| follower.position()).collect();
    for writer in writers {
        writer.await.unwrap();
    }
    assert!(seen.is_sorted_by(|one, next| one < next), "{seen:?}");
    assert_eq!(follower.end(), (Some(0), String::new(), String::new()));
}

async fn a_follower_whose_reader_has_gone_ends_quietly(url: &str, store: impl EventStore, _clock: Arc<ManualClock>) {
    note(&store, "order", "a").await;
    let Follower { mut child, mut lines, words } = Follower::start(url, &["--format", "jsonl"]);
    assert!(lines.next().is_some());
    drop(lines);
    // It notices when it has something to write.
    let mut said = words;
    let ended = loop {
        note(&store, "order", "a").await;
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
    };
    assert_eq!((ended.code(), said.next().is_none()), (Some(0), true));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_waits_an_outage_out_and_goes_on_where_it_was() {
    let mut server = crate::postgres_server::Server::start().await;
    let url = server.url("postgres");
    let store = annals::PostgresStore::connect(&url).await.unwrap();
    note(&store, "order", "a").await;
    let mut follower = Follower::start(&url, &["--format", "jsonl"]);
    assert_eq!(follower.position(), 1);
    note(&store, "order", "a").await;
    assert_eq!(follower.position(), 2);
    store.close().await;
    server.stop_immediately().await;
    let said = follower.words.next().unwrap().unwrap();
    assert!(said.starts_with("annals: ") && said.ends_with("; waiting for it"), "{said}");
    server.start_again().await;
    let store = annals::PostgresStore::connect(&url).await.unwrap();
    note(&store, "order", "a").await;
    // After a crash the sequence goes on further along: positions have a hole.
    assert!(follower.position() > 2);
    let said = follower.words.next().unwrap().unwrap();
    assert_eq!(said, "annals: the database is there again, going on");
    follower.signal(Signal::INT);
    assert_eq!(follower.end(), (Some(0), String::new(), String::new()));
}
