//! Folding what was read: states, old versions, old shapes.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    fixture::{Factory, fresh, with_clock},
    sample::{key, stream, write},
    tally::{Command, Event, Rejection, Tally},
};
use crate::{
    command::{Loaded, Repository},
    domain::{Aggregate, EventError, Id, Upcasters},
    store::{Append, Error, ManualClock, NewEvent},
};

/// The fold of the first events, without a store.
fn fold(events: &[Event]) -> Loaded<Tally> {
    let mut state = Tally::default();
    events.iter().for_each(|event| state.evolve(event));
    Loaded { state, version: events.len() as u64 }
}

/// An aggregate as of a version, and as of a time, is the fold of the events up to there.
pub async fn store_048_the_past_is_the_fold_of_its_events(factory: &dyn Factory) {
    let start = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
    let clock = Arc::new(ManualClock::new(start));
    let Some(fixture) = with_clock(factory, &clock, "48").await else { return };
    let (store, id) = (fixture.store(), Id::<Tally>::new());
    let tallies = fixture.repository(&store);
    let mut events = Vec::new();
    for by in 1..=8 {
        clock.set(start + TimeDelta::seconds(i64::try_from(by).unwrap()));
        tallies.execute(id, &Command::add(by)).await.unwrap();
        events.push(Event::Added { by });
    }
    for (version, at) in (0..=events.len()).zip(0..) {
        let expected = fold(&events[..version]);
        assert_eq!(tallies.load_at(id, version as u64).await.unwrap(), expected, "as of version {version}");
        let time = start + TimeDelta::milliseconds(at * 1_000 + 500);
        assert_eq!(tallies.load_until(id, time).await.unwrap(), expected, "as of {time}");
    }
    assert_eq!(tallies.load(id).await.unwrap(), fold(&events));
    let ahead = tallies.load_at(id, 9).await;
    assert!(matches!(&ahead, Err(Error::Invalid { .. })), "a version that is not there yet is refused: {ahead:?}");
}

/// Replaying twice gives the same states, and decides nothing.
pub async fn store_050_replaying_twice_gives_the_same_and_decides_nothing(factory: &dyn Factory) {
    let fixture = fresh(factory).await;
    let (store, id) = (fixture.store(), Id::<Tally>::new());
    let tallies = fixture.repository(&store);
    let commands = [Command::add(5), Command::add_each([1, 2, 3]), Command::take(4), Command::nothing()];
    for command in &commands {
        tallies.execute(id, command).idempotency_key(key(&format!("k{}", command.decisions()))).await.ok();
    }
    tallies.execute(id, &commands[1]).await.unwrap();
    let decided: Vec<_> = commands.iter().map(Command::decisions).collect();
    let written = stream(&*store, id.uuid()).await;
    let mut replays = Vec::new();
    for _ in 0..2 {
        let mut steps = Vec::new();
        let loaded = tallies.replay(id, |step| steps.push((step.stored.sequence, step.state.clone()))).await.unwrap();
        assert_eq!(steps.last(), Some(&(loaded.version, loaded.state.clone())), "the last step is the state");
        assert_eq!(steps.len(), written.len(), "a step for each event");
        replays.push((steps, loaded));
    }
    assert_eq!(replays[0], replays[1], "two replays");
    assert_eq!(tallies.load(id).await.unwrap(), replays[0].1, "a load and a replay");
    assert_eq!(commands.iter().map(Command::decisions).collect::<Vec<_>>(), decided, "nothing was decided");
    assert_eq!(stream(&*store, id.uuid()).await, written, "nothing was written");
}

/// A tally in pence, whose events were once in pounds and before that bare numbers.
#[derive(Debug, Default, Clone, PartialEq)]
struct Pence(u64);

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "kebab-case")]
enum PenceEvent {
    Added { pence: u64 },
}

impl Aggregate for Pence {
    const TYPE: &'static str = Tally::TYPE;
    type Command = ();
    type Event = PenceEvent;
    type Rejection = Rejection;

    fn decide(&self, (): &()) -> Result<Vec<PenceEvent>, Rejection> {
        Ok(vec![PenceEvent::Added { pence: 1 }])
    }

    fn evolve(&mut self, PenceEvent::Added { pence }: &PenceEvent) {
        self.0 += pence;
    }

    fn upcasters() -> Upcasters {
        Upcasters::none().upcast("added", |pounds| Ok(json!({ "pounds": pounds }))).upcast("added", |data| {
            match data["pounds"].as_u64() {
                Some(pounds) => Ok(json!({ "pence": pounds * 100 })),
                None => Err("no pounds".into()),
            }
        })
    }
}

/// Events of all old shapes are lifted on the way into the state.
///
/// What is stored stays as it was.
pub async fn store_051_old_shapes_are_lifted(factory: &dyn Factory) {
    let fixture = fresh(factory).await;
    let (store, id) = (fixture.store(), Id::<Pence>::new());
    let shapes: [Value; 3] = [json!(3), json!({"pounds": 2}), json!({"pence": 7})];
    for (version, payload) in (1..).zip(&shapes) {
        let event = NewEvent::new("added", payload).unwrap().in_schema_version(version);
        write(&*store, Append::to(id).event(event)).await;
    }
    let pence = Repository::<Pence>::new(&store);
    let done = pence.execute(id, &()).await.unwrap();
    assert_eq!(done.version, 4);
    assert_eq!(pence.load(id).await.unwrap(), Loaded { state: Pence(300 + 200 + 7 + 1), version: 4 });
    let stored = stream(&*store, id.uuid()).await;
    let versions: Vec<_> = stored.iter().map(|event| event.schema_version()).collect();
    assert_eq!(versions, [1, 2, 3, 3], "new events are in the latest shape");
    for (event, payload) in stored.iter().zip(&shapes) {
        assert_eq!(event.payload(), payload.to_string(), "what is stored is not changed");
    }
}

/// An event this code does not know stops the replay with an error that names the event and what does not fit.
pub async fn store_051_an_unknown_event_is_a_named_error(factory: &dyn Factory) {
    let fixture = fresh(factory).await;
    let store = fixture.store();
    let tallies = fixture.repository(&store);
    let unfit = [
        (NewEvent::new("multiplied", &2).unwrap(), "multiplied"),
        (NewEvent::new("added", &json!({"by": 1})).unwrap().in_schema_version(2), "schema version 2"),
        (NewEvent::new("added", &json!({"by": "one"})).unwrap(), "added"),
    ];
    for (event, naming) in unfit {
        let id = Id::<Tally>::new();
        tallies.execute(id, &Command::add_each([1, 2])).await.unwrap();
        write(&*store, Append::to(id).event(event)).await;
        write(&*store, Append::to(id).event(NewEvent::new("added", &json!({"by": 1})).unwrap())).await;
        let mut shown = Vec::new();
        let error = tallies.replay(id, |step| shown.push(step.stored.sequence)).await.unwrap_err();
        assert_eq!(shown, [1, 2], "the replay stops at the event");
        let Error::Codec { context, source } = &error else { panic!("expected a codec error, got {error:?}") };
        assert!(context.contains("event 3 ") && context.contains(&id.to_string()), "which event: {context}");
        assert!(source.is::<EventError>() && source.to_string().contains(naming), "what does not fit: {source}");
        let ended = tallies.execute(id, &Command::add(1)).idempotency_key(key("k")).await.unwrap_err();
        assert!(matches!(ended.store_error(), Some(Error::Codec { .. })), "no decision on half a history: {ended:?}");
        assert_eq!(tallies.load_at(id, 2).await.unwrap().state.sum, 3, "what stands before it can be read");
        assert_eq!(stream(&*store, id.uuid()).await.len(), 4, "nothing was written");
    }
}
