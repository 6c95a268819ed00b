//! What is told while the store works: spans, lines and metrics by their promised names, and no secrets.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use annals::{
    Append, Error, EventStore as _, EventStoreExt as _, ExecuteError, ExpectedVersion, Id, IdempotencyKey, LogQuery,
    Metadata, NewEvent, Repository, Retry, SqliteStore, Transactional as _, Work as _, testing::Faulty,
};
use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use sqlx::Connection as _;
use tracing::field::{Field, Visit};
use tracing_subscriber::{Layer, layer::SubscriberExt as _, registry::LookupSpan};
use uuid::Uuid;

use crate::faults::{
    child, raw,
    tally::{Tally, TallyCommand},
};

pub type Fields = BTreeMap<String, String>;

#[derive(Debug, Clone, Default)]
struct Record {
    target: String,
    name: String,
    fields: Fields,
}

/// Notes every span and every line.
#[derive(Debug, Clone, Default)]
struct Recorder {
    spans: Arc<Mutex<Vec<Record>>>,
    lines: Arc<Mutex<Vec<Record>>>,
}

struct Gather<'f>(&'f mut Fields);

impl Visit for Gather<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.to_owned());
    }
}

struct Place(usize);

impl<S: tracing::Subscriber + for<'l> LookupSpan<'l>> Layer<S> for Recorder {
    fn on_new_span(
        &self,
        attributes: &tracing::span::Attributes<'_>,
        id: &tracing::span::Id,
        context: tracing_subscriber::layer::Context<'_, S>,
    ) {
        let metadata = attributes.metadata();
        let mut record =
            Record { target: metadata.target().to_owned(), name: metadata.name().to_owned(), ..Record::default() };
        attributes.record(&mut Gather(&mut record.fields));
        let mut spans = self.spans.lock().unwrap();
        context.span(id).unwrap().extensions_mut().insert(Place(spans.len()));
        spans.push(record);
    }

    fn on_record(
        &self,
        id: &tracing::span::Id,
        values: &tracing::span::Record<'_>,
        context: tracing_subscriber::layer::Context<'_, S>,
    ) {
        let span = context.span(id).unwrap();
        let place = span.extensions().get::<Place>().unwrap().0;
        values.record(&mut Gather(&mut self.spans.lock().unwrap()[place].fields));
    }

    fn on_event(&self, event: &tracing::Event<'_>, _: tracing_subscriber::layer::Context<'_, S>) {
        let mut record = Record { target: event.metadata().target().to_owned(), ..Record::default() };
        event.record(&mut Gather(&mut record.fields));
        record.name = record.fields.get("message").cloned().unwrap_or_default();
        self.lines.lock().unwrap().push(record);
    }
}

/// What was told during a test. Metrics by name, label and value; those of a histogram by how many.
pub struct Told {
    recorder: Recorder,
    pub metrics: BTreeMap<String, u64>,
    pub gauges: BTreeMap<String, f64>,
}

impl Told {
    fn spans(&self, name: &str) -> Vec<Fields> {
        let spans = self.recorder.spans.lock().unwrap();
        spans.iter().filter(|span| span.name == name).map(|span| span.fields.clone()).collect()
    }

    pub fn lines(&self, part: &str) -> Vec<Fields> {
        let lines = self.recorder.lines.lock().unwrap();
        lines.iter().filter(|line| line.name.contains(part)).map(|line| line.fields.clone()).collect()
    }

    /// Everything this crate has told, and everything those beneath it have.
    pub fn everything(&self) -> String {
        format!("{:?}{:?}{:?}", self.recorder.spans, self.recorder.lines, self.metrics)
    }
}

/// Runs a test in a process of its own: whether a span is told at all is decided for a whole process, and tests beside
/// this one, to which nobody listens, decide otherwise.
pub fn alone(test: &str, body: impl FnOnce()) {
    if child::name() == "alone" {
        return body();
    }
    let output = child::command(test, Path::new(""), "alone", &[]).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && out.contains("1 passed"), "{out}\n{err}");
}

/// Runs on one thread, which is what the recorders listen to.
pub fn listen<F: Future<Output = ()>>(test: impl FnOnce() -> F) -> Told {
    let recorder = Recorder::default();
    let metrics = DebuggingRecorder::new();
    let snapshotter = metrics.snapshotter();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let subscriber = tracing_subscriber::registry().with(recorder.clone());
    tracing::subscriber::with_default(subscriber, || {
        metrics::with_local_recorder(&metrics, || runtime.block_on(test()));
    });
    let mut gauges = BTreeMap::new();
    let told = snapshotter.snapshot().into_vec().into_iter().filter_map(|(key, _, _, value)| {
        let key = key.key();
        let labels: Vec<_> = key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
        let value = match value {
            DebugValue::Counter(count) => count,
            DebugValue::Histogram(values) => values.len() as u64,
            DebugValue::Gauge(value) => {
                gauges.insert(key.name().to_owned(), value.into_inner());
                return None;
            }
        };
        Some((format!("{}{{{}}}", key.name(), labels.join(",")), value))
    });
    let metrics = told.collect();
    Told { recorder, metrics, gauges }
}

fn keyed(name: &str) -> IdempotencyKey {
    IdempotencyKey::new(name).unwrap()
}

fn names(fields: &Fields) -> BTreeSet<&str> {
    fields.keys().map(String::as_str).collect()
}

/// A command of each outcome: executed, replayed, rejected, conflict, failed.
async fn five_outcomes(store: &SqliteStore, id: Id<Tally>) {
    let tallies = Repository::<Tally>::new(store);
    let add = TallyCommand::Add { events: 3 };
    for replayed in [false, true] {
        let done = tallies.execute(id, &add).idempotency_key(keyed("add")).await.unwrap();
        assert_eq!(done.replayed, replayed);
    }
    for _ in 0..2 {
        tallies.execute(id, &TallyCommand::Refuse).idempotency_key(keyed("refuse")).await.unwrap_err();
    }
    let pinned = tallies.execute(id, &add).expected_version(ExpectedVersion::Exact(9)).await;
    assert!(matches!(pinned.unwrap_err(), ExecuteError::Store(Error::Conflict { .. })));
    let reused = tallies.execute(id, &TallyCommand::Nothing).idempotency_key(keyed("add")).await;
    assert!(matches!(reused.unwrap_err(), ExecuteError::Store(Error::KeyReused { .. })));
}

#[test]
fn a_command_has_a_span_that_tells_how_it_ended() {
    alone("telemetry::a_command_has_a_span_that_tells_how_it_ended", || {
        let id = Id::<Tally>::new();
        let told = listen(|| async move {
            five_outcomes(&SqliteStore::open_in_memory().await.unwrap(), id).await;
        });
        let spans = told.spans("execute");
        assert_eq!(spans.len(), 6);
        let always = ["annals.aggregate_type", "annals.command_id", "annals.expected_version"];
        let with = |more: &[&'static str]| always.iter().chain(more).copied().collect::<BTreeSet<_>>();
        for (span, promised) in spans.iter().zip([
            with(&["annals.position", "annals.replayed"]),
            with(&["annals.position", "annals.replayed"]),
            with(&["annals.replayed"]),
            with(&["annals.replayed"]),
            with(&["error.type"]),
            with(&["error.type"]),
        ]) {
            assert_eq!(names(span), promised);
            assert_eq!(span["annals.aggregate_type"], "tally");
        }
        let of = |name: &str| spans.iter().filter_map(|span| span.get(name).cloned()).collect::<Vec<_>>();
        assert_eq!(of("annals.replayed"), ["false", "true", "false", "true"]);
        assert_eq!(of("annals.position"), ["3", "3"]);
        assert_eq!(of("error.type"), ["conflict", "key_reused"]);
        assert_eq!(spans[0]["annals.command_id"], keyed("add").command_id(id.uuid()).to_string());
        assert_eq!(spans[4]["annals.expected_version"], "version 9");
    });
}

#[test]
fn an_operation_of_the_database_has_a_span_with_the_conventional_names() {
    alone("telemetry::an_operation_of_the_database_has_a_span_with_the_conventional_names", || {
        let told = listen(|| async {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("events.db");
            let store = SqliteStore::options().busy_timeout(Duration::from_millis(500)).open(&path).await.unwrap();
            let id = Uuid::now_v7();
            let append = || Append::new("note", id).event(NewEvent::new("noted", "text").unwrap());
            store.append_one(append()).await.unwrap();
            store.collect_log(&LogQuery::all()).await.unwrap();
            store.head().await.unwrap();
            store.receipt(id, &keyed("none")).await.unwrap();
            let mut work = store.begin().await.unwrap();
            work.append(&append()).await.unwrap();
            work.commit().await.unwrap();
            let mut other = raw(&path).await;
            let held = other.begin_with("BEGIN IMMEDIATE").await.unwrap();
            store.append_one(append()).await.unwrap_err();
            held.rollback().await.unwrap();
            store.close().await;
            store.head().await.unwrap_err();
        });
        let spans = told.spans("database");
        let operations: Vec<_> = spans
            .iter()
            .map(|span| (span["db.operation.name"].as_str(), span.get("error.type").map(String::as_str)))
            .collect();
        assert_eq!(
            operations,
            [
                ("append", None),
                ("read_log", None),
                ("head", None),
                ("receipt", None),
                ("append", None),
                ("commit", None),
                ("append", Some("contention")),
                ("head", Some("unavailable")),
            ]
        );
        for span in &spans {
            assert_eq!(span["db.system.name"], "sqlite");
            let known = BTreeSet::from(["db.operation.name", "db.system.name", "error.type"]);
            assert!(names(span).is_subset(&known), "{span:?}");
        }
        let all = told.recorder.spans.lock().unwrap();
        let others: Vec<_> =
            all.iter().filter(|span| span.target.starts_with("annals") && span.name != "database").collect();
        assert!(others.is_empty(), "{others:?}");
    });
}

#[test]
fn every_retry_and_every_giving_up_is_a_line() {
    alone("telemetry::every_retry_and_every_giving_up_is_a_line", || {
        let told = listen(|| async {
            let store = Faulty::new(SqliteStore::open_in_memory().await.unwrap(), 1);
            let tallies = Repository::<Tally>::new(&store);
            let add = TallyCommand::Add { events: 1 };
            store.lose_next_reply();
            store.fail_next(Error::Contention { source: None });
            store.lose_next_request();
            tallies.execute(Id::new(), &add).await.unwrap();
            // Given up: at once, and after an answer that says nothing of what was written.
            store.fail_next(Error::Unavailable { source: None });
            tallies.clone().retry(Retry::never()).execute(Id::new(), &add).await.unwrap_err();
            store.lose_next_reply();
            store.fail_next(Error::corrupt("a page"));
            let error = tallies.execute(Id::new(), &add).await.unwrap_err();
            assert!(error.store_error().unwrap().is_outcome_unknown());
        });
        let retries = told.lines("trying again");
        let kinds: Vec<_> = retries.iter().map(|line| line["error.type"].as_str()).collect();
        assert_eq!(kinds, ["outcome_unknown", "outcome_unknown", "outcome_unknown", "outcome_unknown"]);
        for line in &retries {
            assert_eq!(names(line), BTreeSet::from(["attempt", "delay_ms", "error", "error.type", "message"]));
            assert_eq!(line["message"], "command: trying again");
        }
        let given_up = told.lines("gave up");
        let kinds: Vec<_> = given_up.iter().map(|line| line["error.type"].as_str()).collect();
        assert_eq!(kinds, ["unavailable", "outcome_unknown"]);
        for line in &given_up {
            assert_eq!(names(line), BTreeSet::from(["attempts", "error", "error.type", "message"]));
        }
    });
}

#[test]
fn metrics_have_the_promised_names_and_count_what_happened() {
    alone("telemetry::metrics_have_the_promised_names_and_count_what_happened", || {
        let told = listen(|| async {
            let store = SqliteStore::open_in_memory().await.unwrap();
            let id = Id::<Tally>::new();
            five_outcomes(&store, id).await;
            let event = || NewEvent::new("noted", "text").unwrap();
            let append =
                Append::new("note", Uuid::now_v7()).expected(ExpectedVersion::New).event(event()).event(event());
            store.append_one(append.clone()).await.unwrap();
            store.append_one(append.clone()).await.unwrap();
            store.append_one(append.clone().command_id(Uuid::now_v7())).await.unwrap_err();
            let mut work = store.begin().await.unwrap();
            work.append(&Append::new("note", Uuid::now_v7()).event(event())).await.unwrap();
            work.commit().await.unwrap();
            let mut dropped = store.begin().await.unwrap();
            dropped.append(&Append::new("note", Uuid::now_v7()).event(event())).await.unwrap();
        });
        let promised = [
            // One append of a command, one of a rejection, three by hand.
            ("annals_append_duration_seconds{}", 5),
            ("annals_append_conflicts_total{}", 1),
            // What was dropped with its transaction does not count.
            ("annals_events_appended_total{}", 3 + 2 + 1),
            ("annals_commands_total{outcome=executed}", 1),
            ("annals_commands_total{outcome=replayed}", 1),
            ("annals_commands_total{outcome=rejected}", 2),
            ("annals_commands_total{outcome=conflict}", 1),
            ("annals_commands_total{outcome=failed}", 1),
        ];
        let promised: BTreeMap<String, u64> =
            promised.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        assert_eq!(told.metrics, promised);
    });
}

#[test]
fn nothing_that_is_told_holds_a_payload_a_key_or_a_password() {
    alone("telemetry::nothing_that_is_told_holds_a_payload_a_key_or_a_password", || {
        let secret = "hunter2";
        let told = listen(|| async {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("events.db");
            let options =
                SqliteStore::options().busy_timeout(Duration::from_millis(500)).pragma("key", format!("'{secret}'"));
            assert!(!format!("{options:?}").contains(secret));
            let inner = options.open(&path).await.unwrap();
            assert!(!format!("{inner:?}").contains(secret));
            let store = Faulty::new(inner, 1);
            let tallies = Repository::<Tally>::new(&store);
            let id = Id::<Tally>::new();
            let append = Append::to(id)
                .event(NewEvent::new("added", &serde_json::json!({ "by": 1, "note": secret })).unwrap())
                .metadata(Metadata::new().actor(secret).with(secret, secret))
                .idempotency_key(keyed(secret));
            store.lose_next_reply();
            annals::append(&store, append.clone(), Retry::default()).await.unwrap();
            store.append_one(append.clone().event(NewEvent::new("added", secret).unwrap())).await.unwrap_err();
            let add = TallyCommand::Add { events: 1 };
            tallies.execute(id, &add).idempotency_key(keyed(secret)).await.unwrap_err();
            tallies.outcome(id, &keyed(secret)).await.unwrap();
            // A payload that does not fit, and a busy database.
            let unfit = Id::<Tally>::new();
            let event = NewEvent::new("added", &serde_json::json!({ "by": secret })).unwrap();
            store.append_one(Append::to(unfit).event(event)).await.unwrap();
            tallies.execute(unfit, &add).idempotency_key(keyed(secret)).await.unwrap_err();
            let mut other = raw(&path).await;
            let held = other.begin_with("BEGIN IMMEDIATE").await.unwrap();
            tallies.clone().retry(Retry::never()).execute(id, &add).await.unwrap_err();
            held.rollback().await.unwrap();
        });
        let everything = told.everything();
        assert!(told.spans("execute").len() == 3 && told.lines("trying again").len() == 1, "{everything}");
        if let Some(at) = everything.find(secret) {
            panic!("a secret was told: …{}…", &everything[at.saturating_sub(300)..at + 20]);
        }
    });
}
