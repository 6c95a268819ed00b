use annals::*;
use serde::{Deserialize, Serialize};

#[derive(Debug, Default, Clone, PartialEq)]
struct Counter(u64);
#[derive(Debug, Serialize)]
enum Command {
    Add(u64),
}
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "kebab-case")]
enum Event {
    Added { by: u64 },
}
#[derive(Debug, PartialEq, Serialize, Deserialize, thiserror::Error)]
enum Rejection {
    #[error("nothing")]
    Nothing,
}
impl Aggregate for Counter {
    const TYPE: &'static str = "counter";
    type Command = Command;
    type Event = Event;
    type Rejection = Rejection;
    fn decide(&self, command: &Command) -> Result<Vec<Event>, Rejection> {
        match command {
            Command::Add(0) => Err(Rejection::Nothing),
            Command::Add(1000) => Ok(vec![]),
            Command::Add(by) => Ok(vec![Event::Added { by: *by }]),
        }
    }
    fn evolve(&mut self, event: &Event) {
        let Event::Added { by } = event;
        self.0 += by;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn smoke() {
    let dir = tempfile::tempdir().unwrap();
    for store in
        [SqliteStore::open_in_memory().await.unwrap(), SqliteStore::open(dir.path().join("a.db")).await.unwrap()]
    {
        let counters = Repository::<Counter>::new(&store);
        let id = Id::natural("a");
        let key = || IdempotencyKey::new("k1").unwrap();
        let done = counters.execute(id, &Command::Add(2)).idempotency_key(key()).await.unwrap();
        let again = counters.execute(id, &Command::Add(2)).idempotency_key(key()).await.unwrap();
        assert_eq!((done.version, again.version, again.replayed, again.position), (1, 1, true, done.position));
        let e = counters.execute(id, &Command::Add(3)).idempotency_key(key()).await.unwrap_err();
        println!("{e}");
        let k2 = IdempotencyKey::new("k2").unwrap();
        let e = counters.execute(id, &Command::Add(0)).idempotency_key(k2.clone()).await.unwrap_err();
        println!("{e:?}");
        let e = counters.execute(id, &Command::Add(0)).idempotency_key(k2.clone()).await.unwrap_err();
        println!("{e:?}");
        println!("{:?}", counters.outcome(id, &k2).await);
        let mut tasks = vec![];
        for _ in 0..20 {
            let counters = counters.clone();
            tasks.push(tokio::spawn(async move { counters.execute(id, &Command::Add(1)).await.unwrap() }));
        }
        for t in tasks {
            t.await.unwrap();
        }
        let loaded = counters.load(id).await.unwrap();
        assert_eq!((loaded.version, loaded.state.0), (21, 22));
        let events = store.collect_log(&LogQuery::all()).await.unwrap();
        assert_eq!(events.len(), 21);
        println!("{:?}", events[0]);
        let any =
            Append::new("counter", id.uuid()).event(NewEvent::new("added", &serde_json::json!({"by": 1})).unwrap());
        let one = store.append_one(any.clone()).await.unwrap();
        let two = store.append_one(any).await.unwrap();
        println!("{one:?} {two:?}");
        store.close().await;
        println!("{:?}", counters.load(id).await);
    }
}
