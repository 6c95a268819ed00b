//! The service as a process: its beginning, its end, and its death between commit and answer.

use std::{io::BufRead as _, path::Path, sync::Arc, thread, time::Instant};

use annals::{EventStore as _, LogQuery, ResponseStore as _, SqliteStore};
use tempfile::tempdir;

use super::program::{Answer, LONGEST_WAIT, Service};
use crate::order_example::program::{example, text};

/// The types of all events in the service's database, in order.
pub async fn events(store: &SqliteStore) -> Vec<String> {
    let mut types = Vec::new();
    let mut note = |event: annals::EventRef<'_>| {
        types.push(event.event_type.to_owned());
        Ok(())
    };
    store.read_log(&LogQuery::all(), &mut note).await.unwrap();
    types
}

pub async fn database(folder: &Path) -> SqliteStore {
    SqliteStore::options().readers(1).open(folder.join("payments.db")).await.unwrap()
}

/// Looks until there is something to see.
pub async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let since = Instant::now();
    loop {
        if let Some(seen) = look().await {
            return seen;
        }
        assert!(since.elapsed() < LONGEST_WAIT, "{what}: not within {LONGEST_WAIT:?}");
        tokio::task::yield_now().await;
    }
}

/// Posts from a thread of its own.
fn post_beside(service: &Arc<Service>, key: &'static str, form: &'static str) -> thread::JoinHandle<Option<Answer>> {
    let service = Arc::clone(service);
    thread::spawn(move || service.post("/v1/charges", key, form))
}

#[test]
fn it_says_where_it_listens_and_ends_when_it_is_told_to() {
    let folder = tempdir().unwrap();
    let service = Service::begin(folder.path(), &[]);
    assert_ne!(service.address().port(), 0, "the port it was given");
    let health = service.get("/healthz");
    assert_eq!((health.status, &*health.body), (200, r#"{"status":"ok"}"#));
    service.tell_to_end();
    assert!(service.ended().success());
    assert!(!folder.path().join("payments.db-wal").exists(), "the database was closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_under_way_is_finished_before_the_end() {
    let folder = tempdir().unwrap();
    let service = Arc::new(Service::begin(folder.path(), &[]));
    let store = database(folder.path()).await;
    let form = "amount=2000&currency=eur&metadata[delay_ms]=1000";
    let answer = post_beside(&service, "one", form);
    let query = annals::store::ResponseQuery { limit: 1, ..Default::default() };
    until("a claim", async || store.list_responses(&query).await.unwrap().pop()).await;
    service.tell_to_end();
    let answer = answer.join().unwrap().expect("an answer, though the service ends");
    assert_eq!(answer.status, 201, "{answer:?}");
    assert_eq!(events(&store).await, ["charge-created"]);
    assert!(Arc::into_inner(service).unwrap().ended().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_dies_between_commit_and_answer_has_made_one_charge() {
    let folder = tempdir().unwrap();
    let arguments = ["--lease", "0.5"];
    let service = Arc::new(Service::begin(folder.path(), &arguments));
    let store = database(folder.path()).await;
    let form = "amount=2000&currency=eur&metadata[linger_ms]=3000";
    let lost = post_beside(&service, "one", form);
    until("the charge", async || (!events(&store).await.is_empty()).then_some(())).await;
    service.kill();
    assert_eq!(lost.join().unwrap(), None, "nobody has heard of the charge");

    let service = Service::begin(folder.path(), &arguments);
    let mut others = 0;
    let answer = until("an answer", async || {
        let answer = service.post("/v1/charges", "one", form).unwrap();
        others += u32::from(answer.status == 409);
        assert!(matches!(answer.status, 201 | 409), "{answer:?}");
        (answer.status == 201).then_some(answer)
    });
    let answer = answer.await;
    let shown = service.get(&format!("/v1/charges/{}", answer.json()["id"].as_str().unwrap()));
    assert_eq!(shown.body, answer.body);
    assert!(service.post("/v1/charges", "one", form).unwrap().is_replay());
    assert_eq!(events(&store).await, ["charge-created"], "after {others} answers of 409");
    service.tell_to_end();
    assert!(service.ended().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_whose_client_and_service_have_died_is_finished_all_the_same() {
    let folder = tempdir().unwrap();
    let arguments = ["--lease", "0.5", "--finish-abandoned-after", "0"];
    let service = Arc::new(Service::begin(folder.path(), &arguments));
    let store = database(folder.path()).await;
    let lost = post_beside(&service, "one", "amount=2000&currency=eur&metadata[delay_ms]=400");
    let query = annals::store::ResponseQuery { limit: 1, ..Default::default() };
    until("a claim", async || store.list_responses(&query).await.unwrap().pop()).await;
    service.kill();
    assert_eq!(lost.join().unwrap(), None);
    assert!(events(&store).await.is_empty(), "it died before the charge");

    let service = Service::begin(folder.path(), &arguments);
    // Nobody sends it again.
    until("the charge", async || (!events(&store).await.is_empty()).then_some(())).await;
    until("its answer", async || store.list_responses(&query).await.unwrap().pop().and_then(|row| row.status)).await;
    let late = service.post("/v1/charges", "one", "amount=2000&currency=eur&metadata[delay_ms]=400").unwrap();
    assert!(late.status == 201 && late.is_replay(), "{late:?}");
    assert_eq!(events(&store).await, ["charge-created"]);
    service.tell_to_end();
    assert!(service.ended().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_services_on_one_database_make_one_charge() {
    let folder = tempdir().unwrap();
    let arguments = ["--in-flight-wait", "30"];
    let services = [(); 2].map(|()| Arc::new(Service::begin(folder.path(), &arguments)));
    let form = "amount=2000&currency=eur&metadata[delay_ms]=100";
    let asked: Vec<_> = (0..8).map(|asked| post_beside(&services[asked % 2], "one", form)).collect();
    let answers: Vec<Answer> = asked.into_iter().map(|asked| asked.join().unwrap().unwrap()).collect();
    assert!(answers.iter().all(|answer| (answer.status, &answer.body) == (201, &answers[0].body)), "{answers:?}");
    assert_eq!(answers.iter().filter(|answer| !answer.is_replay()).count(), 1, "one has made it: {answers:?}");
    assert_eq!(events(&database(folder.path()).await).await, ["charge-created"]);
}

#[test]
fn what_cannot_be_used_is_named_before_anything_is_made() {
    let folder = tempdir().unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = listener.local_addr().unwrap().to_string();
    for (arguments, message) in [
        (["--listen", &taken], "Address already in use"),
        (["--database-url", "mysql://ann:s3cret@db/shop"], "\"mysql\" is no database this program knows"),
        (["--redis-url", "memcached://cache"], "redis://"),
    ] {
        let mut service = example("payments_api").current_dir(folder.path()).args(arguments).spawn().unwrap();
        // One that listens all the same is not waited for.
        let mut line = String::new();
        std::io::BufReader::new(service.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        if !line.is_empty() {
            service.kill().unwrap();
        }
        let output = service.wait_with_output().unwrap();
        assert_eq!(line, "", "{arguments:?}: it listens all the same");
        let err = text(&output.stderr);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{arguments:?}: {err}");
        assert!(err.starts_with("error: ") && err.contains(message) && !err.contains("s3cret"), "{err}");
        assert!(!folder.path().join("payments.db").exists(), "{arguments:?} leaves no database behind");
    }
}
