//! `annals subscriptions`.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use annals::{
    Append, Attempts, BoxError, CheckpointStore, Clock as _, Consumer, ConsumerKind, Consumers, Cursor,
    EventStoreExt as _, ManualClock, NewEvent, OnFailure, RecordedEvent, Subscription,
    store::{Claim, Claimed, ParkedQuery},
};
use chrono::Utc;
use uuid::Uuid;

use super::{
    place::on_both,
    program::{done_on, run_on},
    shown::shows_but_for,
};

on_both! {
    annals_subscriptions_list_says_who_lags_and_why
    annals_subscriptions_list_tells_all_about_one
    annals_subscriptions_knows_no_name_that_is_not_there
    annals_subscriptions_pause_and_resume_change_what_is_not_so_yet
    annals_subscriptions_reset_says_what_it_does_and_asks
    annals_subscriptions_reset_beside_a_runner_loses_no_event
    annals_subscriptions_parked_goes_page_by_page
    annals_subscriptions_replay_asks_the_runner
    annals_subscriptions_discard_takes_out_what_was_chosen
    annals_subscriptions_shows_each_partition
}

/// Longer than anything takes here.
const PATIENCE: Duration = Duration::from_secs(30);

/// Any time by the machine's clock: the store's own begins in January 2026 and stays there.
const NOW: (&str, &str) = (r"(2026-(0[2-9]|1[0-2])|20(2[7-9]|[3-9]\d)-\d\d)-[0-9T:.]+Z", "[now]");

/// What differs from run to run: ages, names of runs, and how wide a column is for them.
const AGES: [(&str, &str); 4] =
    [(r"\b\d+(d|h|m|s|ms)( \d+(h|m|s))?\b", "[age]"), NOW, (r"run [0-9a-f]{12}", "run [run]"), (r"(\S) {2,}", "$1  ")];

const NUMBERS: [(&str, &str); 4] = [
    NOW,
    (r#""lag_seconds":[0-9.]+"#, r#""lag_seconds":"[age]""#),
    (r"\b\d+(d|h|m|s|ms)( \d+(h|m|s))?\b ago", "[age] ago"),
    (r"run [0-9a-f]{12}", "run [run]"),
];

fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

/// Events of aggregates with known ids: `numbers` of the first, then of the second.
async fn write(store: &impl CheckpointStore, aggregate: u128, numbers: impl IntoIterator<Item = u64>) {
    let numbers: Vec<_> = numbers.into_iter().collect();
    for some in numbers.chunks(500) {
        let events = some.iter().map(|number| NewEvent::new("noted", number).unwrap());
        let append = Append::new("notebook", id(aggregate)).events(events.collect::<Vec<_>>());
        store.append_one(append).await.unwrap();
    }
}

fn number(event: &RecordedEvent) -> u64 {
    event.payload().parse().unwrap()
}

fn named<S: CheckpointStore + Clone + 'static>(store: &S, name: &str) -> Subscription<S> {
    let subscription = Subscription::new(store, name).unwrap().owner("mailer-1").lease(Duration::from_secs(3_600));
    subscription.attempts(Attempts::once()).on_failure(OnFailure::Park { most: 5_000 })
}

/// Handles what is there, and fails on these numbers.
async fn told<S: CheckpointStore + Clone + 'static>(subscription: &Subscription<S>, poison: &[u64]) {
    let judge = |event: RecordedEvent| {
        let is_poison = poison.contains(&number(&event));
        std::future::ready(if is_poison { Err::<(), BoxError>("no such customer".into()) } else { Ok(()) })
    };
    // One that stops at a failure has to.
    drop(subscription.catch_up(judge).await);
}

async fn claim(store: &impl CheckpointStore, name: &str, kind: ConsumerKind) {
    let claim = Claim {
        consumer: Consumer::new(name).unwrap(),
        kind,
        version: u32::from(kind == ConsumerKind::Projection),
        start: Some(Cursor::START),
        owner: "worker-7".into(),
        length: Duration::from_secs(3_600),
        by_force: false,
    };
    assert!(matches!(store.claim(&claim).await.unwrap(), Claimed::Taken(_)));
}

/// One in each state.
async fn fill<S: CheckpointStore + Clone + 'static>(store: &S, clock: &ManualClock) {
    write(store, 1, [10, 11, 12]).await;
    write(store, 2, [20, 21]).await;
    told(&named(store, "up-to-date"), &[]).await;
    told(&named(store, "failing").on_failure(OnFailure::Stop), &[12]).await;
    told(&named(store, "parking"), &[11]).await;
    told(&named(store, "it's-paused"), &[]).await;
    Consumers::new(store).pause("it's-paused").await.unwrap();
    claim(store, "dead", ConsumerKind::Subscription).await;
    write(store, 2, [22]).await;
    told(&named(store, "parking"), &[]).await;
    told(&named(store, "up-to-date"), &[]).await;
    clock.set(Utc::now());
    claim(store, "running", ConsumerKind::Projection).await;
}

async fn annals_subscriptions_list_says_who_lags_and_why<S>(url: &str, store: S, clock: Arc<ManualClock>)
where
    S: CheckpointStore + Clone + 'static,
{
    let (code, out, err) = run_on(url, &["subscriptions", "list"]);
    assert_eq!((code, out.as_str()), (0, ""));
    assert_eq!(err, "annals: there is no subscription or projection yet\n");
    fill(&store, &clock).await;
    shows_but_for("subscriptions_list", &done_on(url, &["subscriptions", "list"]), &AGES);
    let lines = done_on(url, &["subscriptions", "list", "--format", "jsonl"]);
    shows_but_for("subscriptions_list_jsonl", &lines, &NUMBERS);
    let json: serde_json::Value =
        serde_json::from_str(&done_on(url, &["subscriptions", "list", "--format", "json"])).unwrap();
    assert_eq!(json.as_array().unwrap().len(), 6);
    for format in ["table", "json", "jsonl"] {
        let (code, _, err) = run_on(url, &["subscriptions", "list", "-q", "--format", format]);
        assert_eq!((code, err.as_str()), (0, ""));
    }
}

async fn annals_subscriptions_list_tells_all_about_one<S>(url: &str, store: S, clock: Arc<ManualClock>)
where
    S: CheckpointStore + Clone + 'static,
{
    fill(&store, &clock).await;
    for name in ["parking", "failing", "it's-paused", "running", "dead"] {
        let text = done_on(url, &["subscriptions", "list", name]);
        shows_but_for(&format!("subscriptions_list_{}", name.replace('\'', "")), &text, &AGES);
    }
    let json = done_on(url, &["subscriptions", "list", "parking", "--format", "jsonl"]);
    shows_but_for("subscriptions_list_parking_jsonl", &json, &NUMBERS);
    // What it says to do is a command.
    let next: serde_json::Value = serde_json::from_str(&json).unwrap();
    let commands = next["next"].as_array().unwrap();
    assert!(commands.iter().any(|one| one["command"] == "annals subscriptions replay parking --all"), "{json}");
}

async fn annals_subscriptions_knows_no_name_that_is_not_there<S>(url: &str, _store: S, _clock: Arc<ManualClock>)
where
    S: CheckpointStore + Clone + 'static,
{
    for name in ["nobody", "a b", "it's", "\"; --", "größe", ""] {
        for verb in [
            &["list"][..],
            &["pause"],
            &["resume"],
            &["parked"],
            &["replay", "--all"],
            &["discard", "--all", "--yes"],
            &["reset", "--to", "start", "--yes"],
            &["forget", "--yes"],
        ] {
            let args = [&["subscriptions", verb[0], name][..], &verb[1..]].concat();
            let (code, out, err) = run_on(url, &args);
            assert_eq!((code, out.as_str()), (3, ""), "{args:?}: {err}");
            assert!(err.contains("there is no subscription or projection"), "{args:?}: {err}");
        }
    }
    for wrong in [
        &["subscriptions"][..],
        &["subscriptions", "replay", "mail"],
        &["subscriptions", "replay", "mail", "--all", "--event", "1/2"],
        &["subscriptions", "discard", "mail", "--event", "1/2", "--yes"],
        &["subscriptions", "discard", "mail", "--event", "00000000-0000-0000-0000-000000000001/0", "--yes"],
        &["subscriptions", "reset", "mail", "--to", "yesterday", "--yes"],
        &["subscriptions", "reset", "mail"],
    ] {
        let (code, out, _) = run_on(url, wrong);
        assert_eq!((code, out.as_str()), (2, ""), "{wrong:?}");
    }
}

async fn annals_subscriptions_pause_and_resume_change_what_is_not_so_yet<S>(
    url: &str,
    store: S,
    _clock: Arc<ManualClock>,
) where
    S: CheckpointStore + Clone + 'static,
{
    told(&named(&store, "mail"), &[]).await;
    // There has to be something to be told first.
    write(&store, 1, [1]).await;
    told(&named(&store, "mail"), &[]).await;
    let mut said = String::new();
    for verb in ["pause", "pause", "resume", "resume"] {
        said.push_str(&done_on(url, &["subscriptions", verb, "mail"]));
        said.push_str(&done_on(url, &["subscriptions", verb, "mail", "--format", "jsonl"]));
    }
    shows_but_for("subscriptions_pause_resume", &said, &[]);
    let (code, out, err) = run_on(url, &["subscriptions", "forget", "mail"]);
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(err.contains("say --yes"), "{err}");
    assert_eq!(done_on(url, &["subscriptions", "forget", "mail", "--yes"]), "mail is forgotten\n");
    assert!(store.checkpoints(None).await.unwrap().is_empty());
}

async fn annals_subscriptions_reset_says_what_it_does_and_asks<S>(url: &str, store: S, clock: Arc<ManualClock>)
where
    S: CheckpointStore + Clone + 'static,
{
    fill(&store, &clock).await;
    let reset = |name: &'static str, to: &'static str| run_on(url, &["subscriptions", "reset", name, "--to", to]);
    let mut said = String::new();
    for (name, to) in [
        ("parking", "start"),
        ("parking", "1"),
        ("parking", "end"),
        ("dead", "end"),
        ("dead", "2026-01-05T10:00:00Z"),
        ("dead", "2999-01-01T00:00:00+01:00"),
        ("parking", "2026-01-05"),
        ("dead", "1w"),
    ] {
        let (code, out, err) = reset(name, to);
        let stands_there = matches!((name, to), ("parking", "end") | ("dead", "2026-01-05T10:00:00Z"));
        assert_eq!((code, out.contains("already: nothing is done")), (if stands_there { 0 } else { 2 }, stands_there));
        said.push_str(&out);
        said.push_str(&format!("{name} --to {to}\n{err}"));
    }
    let (code, out, err) = reset("running", "start");
    assert_eq!((code, out.as_str()), (1, ""));
    said.push_str(&err);
    let (code, out, err) = reset("dead", "777");
    assert_eq!((code, out.as_str()), (3, ""));
    said.push_str(&err);
    said.push_str(&done_on(url, &["subscriptions", "reset", "parking", "--to", "1", "--yes"]));
    said.push_str(&done_on(url, &["subscriptions", "reset", "dead", "--to", "end", "--yes", "--format", "jsonl"]));
    shows_but_for("subscriptions_reset", &said, &[NOW]);
    assert_eq!(store.count_parked("parking").await.unwrap(), 0);
    let all = Mutex::new(Vec::new());
    let note = |event: RecordedEvent| {
        all.lock().unwrap().push(number(&event));
        std::future::ready(Ok::<_, BoxError>(()))
    };
    named(&store, "parking").catch_up(note).await.unwrap();
    assert_eq!(*all.lock().unwrap(), [11, 12, 20, 21, 22]);
}

/// A runner at work in this process, and what it was told.
struct Runner {
    told: Arc<Mutex<Vec<u64>>>,
    _end: tokio::sync::oneshot::Sender<()>,
}

impl Runner {
    fn start<S>(store: &S, name: &str, is_mended: &Arc<AtomicBool>, poison: u64) -> Self
    where
        S: CheckpointStore + Clone + 'static,
    {
        let told = Arc::new(Mutex::new(Vec::new()));
        let (end, ends) = tokio::sync::oneshot::channel::<()>();
        let (subscription, is_mended) = (named(store, name), Arc::clone(is_mended));
        tokio::spawn({
            let told = Arc::clone(&told);
            async move {
                let tell = |event: RecordedEvent| {
                    told.lock().unwrap().push(number(&event));
                    let is_poison = number(&event) == poison && !is_mended.load(Ordering::SeqCst);
                    std::future::ready(if is_poison { Err::<(), BoxError>("still no".into()) } else { Ok(()) })
                };
                subscription.run(async { drop(ends.await) }, tell).await
            }
        });
        Self { told, _end: end }
    }

    async fn until(&self, is_so: impl Fn(&[u64]) -> bool + Send + Sync) {
        until(async || is_so(&self.told.lock().unwrap())).await;
    }
}

async fn until(mut is_so: impl AsyncFnMut() -> bool) {
    let look = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, look).await.expect("it comes to pass");
}

async fn annals_subscriptions_reset_beside_a_runner_loses_no_event<S>(url: &str, store: S, clock: Arc<ManualClock>)
where
    S: CheckpointStore + Clone + 'static,
{
    clock.set(Utc::now());
    write(&store, 1, 0..400).await;
    let runner = Runner::start(&store, "mail", &Arc::default(), u64::MAX);
    runner.until(|told| !told.is_empty()).await;
    let out = done_on(url, &["subscriptions", "reset", "mail", "--to", "100", "--yes", "--format", "json"]);
    let from = runner.told.lock().unwrap().len();
    assert!(out.contains(r#""position": 100"#), "{out}");
    // While it is at work on that: more comes.
    write(&store, 1, 400..500).await;
    runner.until(|told| told[from.min(told.len())..].contains(&499)).await;
    until(async || store.checkpoints(Some("mail")).await.unwrap()[0].cursor.position.get() == 500).await;
    let told = runner.told.lock().unwrap();
    let again: std::collections::BTreeSet<_> = told.iter().copied().collect();
    assert!(again.into_iter().eq(0..500), "nothing is lost");
    assert!((100..500).all(|number| told.contains(&number)));
}

async fn annals_subscriptions_parked_goes_page_by_page<S>(url: &str, store: S, _clock: Arc<ManualClock>)
where
    S: CheckpointStore + Clone + 'static,
{
    write(&store, 1, [1, 2]).await;
    write(&store, 2, [3]).await;
    told(&named(&store, "few"), &[1, 3]).await;
    // What it shows is what is taken.
    for aggregate in [id(2).to_string(), format!("notebook {}", id(2))] {
        let shown = done_on(url, &["subscriptions", "parked", "few", "--aggregate", &aggregate]);
        assert!(shown.contains(&format!("notebook {}", id(2))) && shown.lines().count() == 2, "{shown}");
    }
    shows_but_for("subscriptions_parked", &done_on(url, &["subscriptions", "parked", "few"]), &[]);
    let whole = done_on(url, &["subscriptions", "parked", "few", "--payload"]);
    shows_but_for("subscriptions_parked_payload", &whole, &[]);
    let lines = done_on(url, &["subscriptions", "parked", "few", "--payload", "--format", "jsonl"]);
    shows_but_for("subscriptions_parked_jsonl", &lines, &[]);
    told(&named(&store, "none"), &[]).await;
    let (code, out, err) = run_on(url, &["subscriptions", "parked", "none", "--format", "json"]);
    assert_eq!((code, out.as_str(), err.as_str()), (0, "[]\n", "annals: nothing is parked\n"));

    write(&store, 3, 100..1_350).await;
    told(&named(&store, "many"), &[100]).await;
    let lines = |args: &[&str]| {
        let args = [&["subscriptions", "parked", "many", "--format", "jsonl"], args].concat();
        let (code, out, err) = run_on(url, &args);
        assert_eq!(code, 0, "{err}");
        let events: Vec<u64> = out
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["sequence"].as_u64().unwrap())
            .collect();
        (events, err)
    };
    let (all, said) = lines(&["--limit", "2000"]);
    assert!(all.into_iter().eq(1..=1_250) && said.is_empty(), "{said}");
    let (first, said) = lines(&[]);
    assert!(first.into_iter().eq(1..=100));
    assert_eq!(said, "annals: there are more: --after 103\n");
    let (next, said) = lines(&["--after", "103", "--limit", "1149"]);
    assert!(next.into_iter().eq(101..1_250) && said.contains("--after 1252"), "{said}");
    let (last, said) = lines(&["--after", "1252", "--limit", "1"]);
    assert_eq!((last, said.as_str()), (vec![1_250], ""));
    let (of_one, _) = lines(&["--aggregate", &id(2).to_string()]);
    assert!(of_one.is_empty());
}

async fn annals_subscriptions_replay_asks_the_runner<S>(url: &str, store: S, clock: Arc<ManualClock>)
where
    S: CheckpointStore + Clone + 'static,
{
    clock.set(Utc::now());
    write(&store, 1, [10, 11]).await;
    write(&store, 2, [20]).await;
    told(&named(&store, "mail"), &[10, 20]).await;
    let mut said = String::new();
    let mut replay = |args: &[&str]| {
        let (code, out, err) = run_on(url, &[&["subscriptions", "replay", "mail"], args].concat());
        said.push_str(&format!("replay mail {}: {code}\n{out}{err}", args.join(" ")));
    };
    // Nobody runs it.
    replay(&["--all"]);
    replay(&["--all", "--wait", "1"]);
    let shown = done_on(url, &["subscriptions", "parked", "mail"]);
    assert_eq!(shown.matches("(to be replayed)").count(), 3, "{shown}");
    let is_mended = Arc::new(AtomicBool::new(false));
    let runner = Runner::start(&store, "mail", &is_mended, 10);
    runner.until(|told| told.contains(&20)).await;
    until(async || store.count_parked("mail").await.unwrap() == 2).await;
    replay(&["--event", &format!("{}/1", id(1)), "--wait", "30"]);
    replay(&["--event", &format!("{}/9", id(1))]);
    is_mended.store(true, Ordering::SeqCst);
    replay(&["--aggregate", &id(1).to_string(), "--wait", "30", "--format", "jsonl"]);
    replay(&["--all"]);
    assert_eq!(store.count_parked("mail").await.unwrap(), 0);
    write(&store, 1, [12]).await;
    runner.until(|told| told.ends_with(&[10, 11, 12])).await;
    shows_but_for("subscriptions_replay", &said, &[]);
    told(&named(&store, "other"), &[12]).await;
    assert!(done_on(url, &["subscriptions", "replay", "other", "--all"]).contains("nobody runs it"));
}

async fn annals_subscriptions_discard_takes_out_what_was_chosen<S>(url: &str, store: S, _clock: Arc<ManualClock>)
where
    S: CheckpointStore + Clone + 'static,
{
    write(&store, 1, [10, 11]).await;
    write(&store, 2, [20, 21]).await;
    write(&store, 3, [30]).await;
    told(&named(&store, "mail"), &[10, 20, 30]).await;
    let left = async || {
        let query =
            ParkedQuery { name: "mail".to_owned(), aggregate_id: None, after: annals::Position::START, limit: 9 };
        let parked = store.parked(&query).await.unwrap();
        parked.iter().map(|event| event.position.get()).collect::<Vec<_>>()
    };
    let (one, other) = (format!("{}/1", id(1)), id(2).to_string());
    let (code, out, err) = run_on(url, &["subscriptions", "discard", "mail", "--event", &one]);
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(
        err.contains("discard 1 parked event (noted of notebook ")
            && err.contains("no such customer")
            && err.contains("say --yes"),
        "{err}"
    );
    assert_eq!(left().await.len(), 5, "nothing was done");
    let mut said = done_on(url, &["subscriptions", "discard", "mail", "--event", &one, "--yes"]);
    assert_eq!(left().await, [2, 3, 4, 5]);
    said.push_str(&done_on(url, &["subscriptions", "parked", "mail"]));
    let (code, _, err) =
        run_on(url, &["subscriptions", "discard", "mail", "--event", &format!("notebook {}  1", id(1)), "--yes"]);
    assert_eq!(code, 3);
    said.push_str(&err);
    said.push_str(&done_on(url, &["subscriptions", "discard", "mail", "--aggregate", &other, "--yes"]));
    assert_eq!(left().await, [2, 5]);
    Consumers::new(&store).pause("mail").await.unwrap();
    let (code, _, err) = run_on(url, &["subscriptions", "discard", "mail", "--all", "--yes"]);
    assert_eq!(code, 1);
    said.push_str(&err);
    Consumers::new(&store).resume("mail").await.unwrap();
    said.push_str(&done_on(url, &["subscriptions", "discard", "mail", "--all", "--yes", "--format", "jsonl"]));
    assert!(left().await.is_empty());
    shows_but_for("subscriptions_discard", &said, &[]);
}

async fn annals_subscriptions_shows_each_partition<S>(url: &str, store: S, clock: Arc<ManualClock>)
where
    S: CheckpointStore + Clone + 'static,
{
    write(&store, 1, [1]).await;
    write(&store, 2, [2]).await;
    write(&store, 3, [3]).await;
    for part in 0..2 {
        told(&named(&store, "mail").partition(part, 2).unwrap(), &[1, 2]).await;
    }
    clock.set(clock.now());
    let text = done_on(url, &["subscriptions", "list", "mail"]);
    shows_but_for("subscriptions_list_partitions", &text, &AGES);
    let listed = done_on(url, &["subscriptions", "list"]);
    assert!(listed.contains("mail (0 of 2)") && listed.contains("mail (1 of 2)"), "{listed}");
    assert!(
        done_on(url, &["subscriptions", "replay", "mail", "--all"]).contains("2 parked events are to be handled again")
    );
    assert!(
        done_on(url, &["subscriptions", "discard", "mail", "--all", "--yes"])
            .contains("2 events discarded, 0 still parked")
    );
    assert!(
        done_on(url, &["subscriptions", "reset", "mail", "--to", "start", "--yes"])
            .contains("3 events are handled again")
    );
}
