//! Random deliveries, failures, sweeps and moves of the clock, against a model of some lines.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use annals::{Append, Handled, Inbox, IncomingMessage, ManualClock, NewEvent, Work as _, store::Expiring};
use chrono::{DateTime, TimeDelta, Utc};
use proptest::{
    collection::vec,
    prelude::{Just, any},
    prop_oneof,
    strategy::Strategy,
    test_runner::{Config, TestRunner},
};
use uuid::Uuid;

use super::{Place, clock, in_file};
use crate::campaign;

const HOUR: Duration = Duration::from_secs(60 * 60);

/// How long the model's messages are remembered.
const KEPT_HOURS: u32 = 5;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Commits,
    Fails,
    IsDropped,
}

#[derive(Debug, Clone)]
enum Step {
    Deliver { consumer: usize, id: u8, payload: u8, place: Option<(u128, u64, bool)>, end: End },
    Pass { hours: u32 },
    Sweep { rows: u32 },
}

fn step() -> impl Strategy<Value = Step> {
    let end = prop_oneof![6 => Just(End::Commits), 1 => Just(End::Fails), 1 => Just(End::IsDropped)];
    let place = proptest::option::of((0_u128..2, 1_u64..5, any::<bool>()));
    let payload = prop_oneof![9 => Just(0_u8), 1 => Just(1_u8)];
    prop_oneof![
        8 => (0..2_usize, 0..5_u8, payload, place, end)
            .prop_map(|(consumer, id, payload, place, end)| Step::Deliver { consumer, id, payload, place, end }),
        1 => (1_u32..4).prop_map(|hours| Step::Pass { hours }),
        1 => (1_u32..4).prop_map(|rows| Step::Sweep { rows }),
    ]
}

/// What an inbox is to be.
#[derive(Default)]
struct Model {
    known: HashMap<(usize, u8), (u8, DateTime<Utc>)>,
    places: HashMap<(usize, u128), u64>,
    effects: u64,
}

impl Model {
    fn deliver(&mut self, step: &Step, now: DateTime<Utc>) -> Handled<()> {
        let Step::Deliver { consumer, id, payload, place, end } = *step else { unreachable!() };
        let kept = TimeDelta::from_std(HOUR * KEPT_HOURS).unwrap();
        match self.known.get(&(consumer, id)) {
            Some((known, at)) if now < *at + kept => {
                let received_at = *at;
                return match *known == payload {
                    true => Handled::Duplicate { received_at: Some(received_at) },
                    false => Handled::Changed { received_at },
                };
            }
            _ => {}
        }
        if let Some((source, sequence, is_dense)) = place {
            let last = self.places.get(&(consumer, source)).copied().unwrap_or_default();
            if sequence <= last {
                return Handled::Duplicate { received_at: None };
            }
            if is_dense && sequence > last + 1 {
                return Handled::Early { expected: last + 1 };
            }
        }
        if end == End::Commits {
            self.known.insert((consumer, id), (payload, now));
            place.map(|(source, sequence, _)| self.places.insert((consumer, source), sequence));
            self.effects += 1;
        }
        Handled::New(())
    }
}

/// Runs one history, with inboxes of its own.
async fn run(store: &impl Place, clock: &ManualClock, history: u64, steps: &[Step]) {
    let inboxes = [0, 1].map(|consumer| Inbox::new(store, &format!("h{history}-{consumer}")).unwrap());
    let inboxes = inboxes.map(|inbox| inbox.keep_for(HOUR * KEPT_HOURS));
    let effects = Uuid::now_v7();
    let mut model = Model::default();
    for step in steps {
        match step {
            Step::Pass { hours } => clock.advance(HOUR * *hours),
            Step::Sweep { rows } => drop(store.sweep(Expiring::Inbox, *rows).await.unwrap()),
            Step::Deliver { consumer, id, payload, place, end } => {
                let mut message = IncomingMessage::new(format!("id-{id}"), [*payload]).unwrap();
                if let Some((source, sequence, is_dense)) = *place {
                    let source = Uuid::from_u128(source);
                    message = match is_dense {
                        true => message.in_order(source, sequence),
                        false => message.placed(source, sequence),
                    };
                }
                let expected = model.deliver(step, annals::Clock::now(clock));
                let append = Append::new("effect", effects).events([NewEvent::new("happened", id).unwrap()]);
                let began = AtomicU32::new(0);
                let handling = inboxes[*consumer].handle(&message, |work| {
                    Box::pin(async {
                        began.fetch_add(1, Ordering::Relaxed);
                        work.append(&append).await?;
                        match end {
                            End::Commits => Ok(()),
                            End::Fails => Err("no".into()),
                            End::IsDropped => std::future::pending().await,
                        }
                    })
                });
                let handled = match (end, &expected) {
                    (End::IsDropped, Handled::New(())) => {
                        let mut handling = Box::pin(handling);
                        while began.load(Ordering::Relaxed) == 0 {
                            let tick = tokio::task::yield_now();
                            futures_util::future::select(&mut handling, Box::pin(tick)).await;
                        }
                        continue;
                    }
                    _ => handling.await,
                };
                match (end, expected) {
                    (End::Fails, Handled::New(())) => assert!(handled.is_err(), "{step:?}"),
                    (_, expected) => assert_eq!(handled.unwrap(), expected, "{step:?}"),
                }
            }
        }
    }
    let stream = annals::StreamQuery::of(effects);
    let read = store.read_stream(&stream, &mut |_| Ok(())).await.unwrap();
    assert_eq!(read.version, model.effects, "each effect once");
}

fn for_histories(cases: u32, mut run: impl FnMut(u64, Vec<Step>)) {
    let (config, number) = (Config { cases, failure_persistence: None, ..Config::default() }, AtomicU64::new(0));
    let run = std::cell::RefCell::new(&mut run);
    let outcome = TestRunner::new(config).run(&vec(step(), 1..40), |steps| {
        (run.borrow_mut())(number.fetch_add(1, Ordering::Relaxed), steps);
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

#[test]
fn random_deliveries_have_each_effect_once_on_sqlite() {
    let (runtime, clock, folder) = (runtime(), clock(), tempfile::tempdir().unwrap());
    let store = runtime.block_on(in_file(&clock, folder.path()));
    for_histories(campaign::sized(150), |number, steps| runtime.block_on(run(&store, &clock, number, &steps)));
}

#[cfg(feature = "postgres")]
#[test]
fn random_deliveries_have_each_effect_once_on_postgres() {
    let (runtime, clock) = (runtime(), clock());
    let database = runtime.block_on(crate::postgres_server::Database::create());
    let options = annals::PostgresStore::options().shared_clock(Arc::clone(&clock) as Arc<dyn annals::Clock>);
    let store = runtime.block_on(options.connect(database.url())).unwrap();
    for_histories(campaign::sized(60), |number, steps| runtime.block_on(run(&store, &clock, number, &steps)));
}
