//! One request with a pinned version, sent twice at once: a client that timed out and tries again.

use annals::{Aggregate, ExpectedVersion, Id, IdempotencyKey, Repository, SqliteStore};
use serde::{Deserialize, Serialize};

#[derive(Debug, Default)]
struct Door;

#[derive(Debug, Serialize)]
struct Open;

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "kebab-case")]
enum Event {
    Opened,
}

#[derive(Debug, Serialize, Deserialize, thiserror::Error)]
#[error("no")]
struct No;

impl Aggregate for Door {
    const TYPE: &'static str = "door";
    type Command = Open;
    type Event = Event;
    type Rejection = No;

    fn decide(&self, _: &Open) -> Result<Vec<Event>, No> {
        Ok(vec![Event::Opened])
    }

    fn evolve(&mut self, _: &Event) {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_retry_beside_its_first_attempt_gets_its_answer_and_no_conflict() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path().join("annals.db")).await.unwrap();
    let plain = Repository::<Door>::new(&store);
    for doors in [plain.clone(), plain.cached(8)] {
        for request in 0..300 {
            let (id, key) = (Id::new(), IdempotencyKey::new(format!("request-{request}")).unwrap());
            let attempt = |pause: usize| {
                let (doors, key) = (doors.clone(), key.clone());
                tokio::spawn(async move {
                    for _ in 0..pause {
                        tokio::task::yield_now().await;
                    }
                    doors.execute(id, &Open).idempotency_key(key).expected_version(ExpectedVersion::New).await
                })
            };
            let (first, again) = (attempt(0), attempt(request % 100));
            assert_eq!(first.await.unwrap().unwrap().version, 1);
            assert_eq!(again.await.unwrap().unwrap().version, 1);
        }
    }
}
