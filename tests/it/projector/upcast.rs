//! Old shapes and unknown events.

use annals::{
    Aggregate, Append, Attempts, BoxError, Error, EventStoreExt as _, Id, NewEvent, Projection, Projector,
    RecordedEvent, SqliteStore, Subscription, Table, Target, Transactional as _, Upcasters, Work as _,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::{Row as _, SqliteConnection};

#[derive(Debug, Default)]
struct Till;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "kebab-case")]
enum Event {
    Paid { cents: i64, currency: String },
}

impl Aggregate for Till {
    const TYPE: &'static str = "till";
    type Command = ();
    type Event = Event;
    type Rejection = Never;

    fn decide(&self, (): &()) -> Result<Vec<Event>, Never> {
        Ok(vec![])
    }

    fn evolve(&mut self, _: &Event) {}

    fn upcasters() -> Upcasters {
        Upcasters::none()
            .upcast("paid", |euros| Ok(json!({ "cents": euros.as_i64().ok_or("expected whole euros")? * 100 })))
            .upcast("paid", |mut paid| {
                paid["currency"] = json!("EUR");
                Ok(paid)
            })
    }
}

#[derive(Debug, Serialize, Deserialize, thiserror::Error)]
#[error("never")]
struct Never;

struct Takings;

impl Projection<SqliteConnection> for Takings {
    fn name(&self) -> &str {
        "takings"
    }

    fn tables(&self) -> Vec<Table> {
        vec![Table::new("takings", "CREATE TABLE {takings} (currency TEXT PRIMARY KEY, cents INTEGER NOT NULL)")]
    }

    async fn apply(&self, event: &RecordedEvent, target: &mut Target<'_, SqliteConnection>) -> Result<(), BoxError> {
        let Event::Paid { cents, currency } = event.decode_as::<Till>()?;
        let add = target.sql(
            "INSERT INTO {takings} (currency, cents) VALUES (?, ?)
             ON CONFLICT (currency) DO UPDATE SET cents = cents + excluded.cents",
        );
        sqlx::query(add).bind(currency).bind(cents).execute(target.connection()).await?;
        Ok(())
    }
}

async fn takings(store: &SqliteStore) -> Vec<(String, i64)> {
    let mut work = store.begin().await.unwrap();
    let rows = sqlx::query("SELECT currency, cents FROM takings ORDER BY currency")
        .fetch_all(work.connection())
        .await
        .unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

/// Every shape there ever was reaches a projection and a subscription as today's; an unknown event is named.
#[tokio::test]
async fn store_051_consumers_see_todays_shapes_and_unknown_events_are_named() {
    let store = SqliteStore::open_in_memory().await.unwrap();
    let shapes = [("3", 1), (r#"{"cents":250}"#, 2), (r#"{"cents":50,"currency":"CHF"}"#, 3)];
    let events = shapes.map(|(json, version)| NewEvent::from_json("paid", json).unwrap().in_schema_version(version));
    store.append_one(Append::new("till", Id::<Till>::natural("1").uuid()).events(events)).await.unwrap();
    let projector = Projector::new(&store, Takings).unwrap().attempts(Attempts::once());
    projector.catch_up().await.unwrap();
    let expected = [("CHF".to_owned(), 50), ("EUR".to_owned(), 550)];
    assert_eq!(takings(&store).await, expected);
    let mut told = Vec::new();
    let mail = Subscription::new(&store, "mail").unwrap().attempts(Attempts::once());
    let tell = |event: RecordedEvent| {
        let decoded = event.decode_as::<Till>();
        std::future::ready(decoded.map(|event| told.push(event)))
    };
    mail.catch_up(tell).await.unwrap();
    assert_eq!(told[0], Event::Paid { cents: 300, currency: "EUR".to_owned() });

    store
        .append_one(Append::new("till", Id::<Till>::natural("2").uuid()).event(NewEvent::new("stolen", &1).unwrap()))
        .await
        .unwrap();
    for stopped in [
        projector.catch_up().await,
        mail.catch_up(|event| std::future::ready(event.decode_as::<Till>().map(drop))).await,
    ] {
        let Err(Error::Handler { source, sequence: 1, .. }) = stopped else { panic!("{stopped:?}") };
        let beneath: Vec<_> =
            std::iter::successors(Some(&*source as &dyn std::error::Error), |&error| error.source()).collect();
        let text = beneath.iter().map(ToString::to_string).collect::<Vec<_>>().join(": ");
        assert!(text.contains("stolen") && text.contains("paid"), "it names what is unknown and what is known: {text}");
    }
    assert_eq!(takings(&store).await, expected);
    let other = NewEvent::new("paid", &1).unwrap();
    store.append_one(Append::new("purse", uuid::Uuid::now_v7()).event(other)).await.unwrap();
    let event = store.collect_log(&annals::LogQuery::all()).await.unwrap().pop().unwrap();
    assert!(matches!(event.decode_as::<Till>(), Err(Error::Invalid { .. })), "it is no event of a till");
}
