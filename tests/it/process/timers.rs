//! Timers of processes: set, moved, cancelled, many at once.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use annals::{
    Aggregate, Id, ManualClock, Processes, Repository,
    process::{Inputs, Process, ProcessManager, ProcessRunner, ProcessStatus, Reaction, Signal},
};
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::{
    check, history,
    place::{Runs, Whole, on_both},
    trip::No,
    with_points::WithPoints,
};
use crate::{campaign, steps::points::Points};

on_both! {
    timers_ring_when_they_are_due_in_the_order_of_their_times_each_once
    of_timers_that_are_due_at_once_one_cancels_another
    many_timers_over_a_minute_ring_once_each_and_none_early
}

/// What is set: names, and in how many seconds each is to ring; none: it is cancelled.
type Settings = Vec<(String, Option<u32>)>;

/// Somebody who sets alarms.
#[derive(Debug, Default)]
struct Sleeper;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "kebab-case")]
enum SleeperEvent {
    AlarmsSet(Settings),
}

impl Aggregate for Sleeper {
    const TYPE: &'static str = "sleeper";
    type Command = Settings;
    type Event = SleeperEvent;
    type Rejection = No;

    fn decide(&self, command: &Settings) -> Result<Vec<SleeperEvent>, No> {
        Ok(vec![SleeperEvent::AlarmsSet(command.clone())])
    }

    fn evolve(&mut self, _: &SleeperEvent) {}
}

/// Rings, and notes when. `stop x` cancels `x`, `last` ends it.
#[derive(Debug, Default)]
struct Alarm {
    rung: Vec<(String, DateTime<Utc>)>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "kebab-case")]
enum AlarmEvent {
    Rung { name: String, at: DateTime<Utc> },
}

impl ProcessManager for Alarm {
    const TYPE: &'static str = "alarm";
    type Input = (Id<Sleeper>, Settings);
    type Event = AlarmEvent;

    fn inputs() -> Inputs<Self::Input> {
        Inputs::none().of(|sleeper: Id<Sleeper>, SleeperEvent::AlarmsSet(settings)| Some((sleeper, settings)))
    }

    fn correlate((sleeper, _): &Self::Input) -> Option<Id<Process<Self>>> {
        Some(Id::derived(*sleeper))
    }

    fn react(&self, signal: Signal<'_, Self::Input>, at: DateTime<Utc>) -> Reaction<AlarmEvent> {
        match signal {
            Signal::Event((_, settings)) => {
                settings.iter().fold(Reaction::nothing(), |reaction, (name, seconds)| match seconds {
                    Some(seconds) => reaction.set_timer(name, at + TimeDelta::seconds((*seconds).into())),
                    None => reaction.cancel_timer(name),
                })
            }
            Signal::Due { timer } => {
                let reaction = Reaction::nothing().record(AlarmEvent::Rung { name: timer.to_owned(), at });
                match timer.strip_prefix("stop ") {
                    Some(other) => reaction.cancel_timer(other),
                    None if timer == "last" => reaction.complete(),
                    None => reaction,
                }
            }
            _ => Reaction::nothing(),
        }
    }

    fn evolve(&mut self, event: &AlarmEvent) {
        let AlarmEvent::Rung { name, at } = event;
        self.rung.push((name.clone(), *at));
    }
}

fn runner<S: Runs>(store: &S) -> ProcessRunner<Alarm, S> {
    ProcessRunner::new(store).unwrap().poll(Duration::from_millis(5)).concurrency(64)
}

async fn set<S: Whole>(store: &S, sleeper: Id<Sleeper>, settings: &[(&str, Option<u32>)]) {
    let settings = settings.iter().map(|(name, seconds)| ((*name).to_owned(), *seconds)).collect();
    Repository::<Sleeper>::new(store).execute(sleeper, &settings).await.unwrap();
}

/// What has rung, and in which second after the beginning.
async fn rung<S: Whole>(store: &S, sleeper: Id<Sleeper>, began: DateTime<Utc>) -> Vec<(String, i64)> {
    let process = history::check::<Alarm, _>(store, Id::derived(sleeper)).await;
    process.manager().rung.iter().map(|(name, at)| (name.clone(), (*at - began).num_seconds())).collect()
}

/// Moves the clock second by second, and has a runner do what is due.
async fn pass<S: Whole>(store: &S, clock: &ManualClock, seconds: u32) {
    for _ in 0..seconds {
        runner(store).catch_up().await.unwrap();
        clock.advance(Duration::from_secs(1));
    }
    runner(store).catch_up().await.unwrap();
}

async fn timers_ring_when_they_are_due_in_the_order_of_their_times_each_once<S: Whole>(
    store: S,
    clock: Arc<ManualClock>,
) {
    let (sleeper, began) = (Id::new(), store.now());
    set(&store, sleeper, &[("moved", Some(2)), ("gone", Some(3)), ("b", Some(4)), ("a", Some(4)), ("c", Some(1))])
        .await;
    pass(&store, &clock, 1).await;
    // At a second of its own it is moved, and another cancelled; one that has rung is set again.
    set(&store, sleeper, &[("moved", Some(5)), ("gone", None), ("c", Some(6)), ("never", None)]).await;
    pass(&store, &clock, 9).await;
    let expected = [("c", 1), ("a", 4), ("b", 4), ("moved", 6), ("c", 7)];
    assert_eq!(rung(&store, sleeper, began).await, expected.map(|(name, at)| (name.to_owned(), at)));
    // Then there is nothing to do, and nobody looks.
    let progress = Processes::<Alarm, _>::new(&store).progress().await.unwrap();
    assert_eq!(progress.processes.waiting, 0, "{progress:?}");
    check(&store).await;
}

async fn of_timers_that_are_due_at_once_one_cancels_another<S: Whole>(store: S, clock: Arc<ManualClock>) {
    let (sleeper, began) = (Id::new(), store.now());
    let settings = [
        ("z", Some(3)),
        ("stop z", Some(2)),
        ("a", Some(1)),
        ("stop a", Some(3)),
        ("last", Some(4)),
        ("late", Some(4)),
    ];
    set(&store, sleeper, &settings).await;
    runner(&store).catch_up().await.unwrap();
    // All of them are overdue together, as after an outage.
    clock.advance(Duration::from_secs(60));
    runner(&store).catch_up().await.unwrap();
    let expected = ["a", "stop z", "stop a", "last"].map(|name| (name.to_owned(), 60));
    assert_eq!(rung(&store, sleeper, began).await, expected);
    let process = Processes::<Alarm, _>::new(&store).find(Id::derived(sleeper)).await.unwrap().unwrap();
    assert_eq!((process.process.status(), process.due.is_none()), (ProcessStatus::Completed, true));
    check(&store).await;
}

/// Over how long the many are due.
const MINUTE: u32 = 60;

async fn many_timers_over_a_minute_ring_once_each_and_none_early<S: Whole>(store: S, clock: Arc<ManualClock>) {
    let (processes, began) = (campaign::sized(400), store.now());
    let mut sleepers = BTreeMap::new();
    for number in 0..processes {
        let (sleeper, second) = (Id::<Sleeper>::new(), number % MINUTE + 1);
        set(&store, sleeper, &[("last", Some(second))]).await;
        sleepers.insert(sleeper.uuid(), second);
    }
    let points = Points::stop_at(None);
    let counted = WithPoints::new(&store, &points);
    let set_up = std::time::Instant::now();
    runner(&counted).catch_up().await.unwrap();
    let (set_up, passed, rang) = (set_up.elapsed(), points.passed(), std::time::Instant::now());
    for _ in 0..MINUTE {
        clock.advance(Duration::from_secs(1));
        runner(&counted).catch_up().await.unwrap();
    }
    // Each write has a point before and after it.
    let (rang, writes) = (rang.elapsed(), (points.passed() - passed) / 2);
    for (sleeper, second) in &sleepers {
        let rung = rung(&store, Id::from_uuid(*sleeper), began).await;
        assert_eq!(rung, [("last".to_owned(), i64::from(*second))]);
    }
    println!("figures: processes={processes} set_up={set_up:?} rang={rang:?} writes={writes}");
    // Each: one append, and what became of it; and some of what is done for many at once.
    assert!(writes <= 2 * processes + processes / 4 + 20 * MINUTE, "{writes} writes for {processes} timers");
    check(&store).await;
}
