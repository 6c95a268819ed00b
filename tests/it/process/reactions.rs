//! Reactions that make no sense, and those that are just within their bounds.

use std::collections::BTreeMap;

use annals::{
    Aggregate as _, Id,
    process::{
        Action, Cause, Inputs, Process, ProcessCommand, ProcessFault, ProcessManager, ProcessStatus, Reaction, Signal,
    },
};
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::trip::Trip;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "kebab-case")]
enum Never {
    Noted,
}

/// A process that reacts as it is told to.
#[derive(Debug, Default)]
struct Puppet;

type Made = fn() -> Reaction<Never>;

impl ProcessManager for Puppet {
    const TYPE: &'static str = "puppet";
    type Input = Made;
    type Event = Never;

    fn inputs() -> Inputs<Made> {
        Inputs::none().of(|_: Id<Trip>, _| None)
    }

    fn correlate(_: &Made) -> Option<Id<Process<Self>>> {
        None
    }

    fn react(&self, signal: Signal<'_, Made>, _: DateTime<Utc>) -> Reaction<Never> {
        match signal {
            Signal::Event(make) => make(),
            Signal::Undone { reason: "then a timer" } => Reaction::nothing().set_timer("late", at()),
            Signal::Undone { reason: "then a cancelled timer" } => Reaction::nothing().cancel_timer("late"),
            Signal::Undone { reason: "then an undo" } => Reaction::nothing().then(step("late").undo_by("undo")),
            Signal::Undone { reason: "then an end" } => Reaction::nothing().complete(),
            Signal::Undone { reason: "then all over" } => Reaction::compensate("again"),
            _ => Reaction::nothing(),
        }
    }

    fn evolve(&mut self, _: &Never) {}
}

fn at() -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000, 0).unwrap()
}

fn step(name: &str) -> Action {
    Action::call(name, &1)
}

fn take(sequence: u64, make: Made) -> ProcessCommand<Made> {
    ProcessCommand::Take { cause: Cause::Event { aggregate_id: Uuid::nil(), sequence }, input: make, at: at() }
}

/// What has become of a process that has reacted to events so, and what the last reaction has come to.
fn after(made: &[Made]) -> (Process<Puppet>, Result<usize, ProcessFault>) {
    let mut process = Process::default();
    let mut last = Ok(0);
    for (make, sequence) in made.iter().zip(1..) {
        let events = process.decide(&take(sequence, *make));
        events.iter().flatten().for_each(|event| process.evolve(event));
        last = events.map(|events| events.len());
    }
    (process, last)
}

/// Makes sure that the last reaction is refused, with this problem, and that nothing has come of it.
fn is_refused(made: &[Made], problem: &str) {
    let fault = after(made).1.unwrap_err();
    let ProcessFault::Reaction { cause, problem: found } = &fault else { panic!("{fault:?}") };
    assert_eq!(*cause, format!("event {}-{}", Uuid::nil(), made.len()));
    assert!(found.contains(problem), "{found}, not {problem}");
}

fn long() -> String {
    "x".repeat(101)
}

#[test]
fn steps_that_make_no_sense_are_refused_and_nothing_is_recorded() {
    is_refused(&[|| Reaction::nothing().then(step(""))], "names a step \"\"");
    is_refused(&[|| Reaction::nothing().then(step(&long()))], "1 to 100 bytes");
    is_refused(&[|| Reaction::nothing().then(step("a\nb"))], "without control characters");
    is_refused(&[|| Reaction::nothing().then(step("a")).then(step("a"))], "plans the step a a second time");
    is_refused(
        &[|| Reaction::nothing().then(step("a")), || Reaction::nothing().then(step("a"))],
        "plans the step a a second time",
    );
    let not_json: Made = || Reaction::nothing().then(Action::call("a", &BTreeMap::from([((1, 2), 3)])));
    is_refused(&[not_json], "which is not JSON");
    let not_json: Made = || {
        let take = super::trip::FlightCommand::Give { trip: Uuid::nil() };
        let action = Action::command("a", super::trip::flight(), &take).undo(&BTreeMap::from([((1, 2), 3)]));
        Reaction::nothing().then(action)
    };
    is_refused(&[not_json], "which is not JSON");
    is_refused(&[|| Reaction::compensate("no").then(step("a"))], "a step after that is for Signal::Undone");
    is_refused(&[|| Reaction::compensate("no").set_timer("a", at())], "a step after that is for Signal::Undone");
}

fn steps(from: u32, to: u32) -> Reaction<Never> {
    (from..to).fold(Reaction::nothing(), |reaction, number| reaction.then(step(&number.to_string())))
}

#[test]
fn a_process_has_a_thousand_steps_and_no_more() {
    assert_eq!(after(&[|| steps(0, 999), || steps(999, 1_000)]).0.steps().len(), 1_000);
    is_refused(&[|| steps(0, 1_001)], "more than 1000 steps");
    is_refused(&[|| steps(0, 1_000), || steps(1_000, 1_001)], "more than 1000 steps");
}

fn timers(from: u32, to: u32) -> Reaction<Never> {
    (from..to).fold(Reaction::nothing(), |reaction, number| reaction.set_timer(number.to_string(), at()))
}

#[test]
fn a_hundred_timers_wait_and_no_more_and_moving_one_is_not_another() {
    is_refused(&[|| Reaction::nothing().set_timer("", at())], "names a timer \"\"");
    is_refused(&[|| Reaction::nothing().set_timer(long(), at())], "1 to 100 bytes");
    is_refused(&[|| Reaction::nothing().cancel_timer("a\0")], "without control characters");
    is_refused(&[|| Reaction::nothing().set_timer("a", DateTime::<Utc>::MAX_UTC)], "to no year from 1 to 9999");
    is_refused(&[|| timers(0, 101)], "more than 100 timers");
    is_refused(&[|| timers(0, 100), || timers(100, 101)], "more than 100 timers");
    // All of them are moved, and those that there is room for are set.
    assert_eq!(after(&[|| timers(0, 60), || timers(0, 100)]).0.timers().count(), 100);
    // One that is cancelled makes room.
    let exchanged: Made = || Reaction::nothing().cancel_timer("0").set_timer("other", at());
    assert_eq!(after(&[|| timers(0, 99), exchanged]).0.timers().count(), 99);
    let set_and_cancelled: Made = || timers(0, 100).cancel_timer("99");
    assert_eq!(after(&[set_and_cancelled]).0.timers().count(), 99);
}

#[test]
fn a_timer_is_moved_and_cancelled_and_what_is_not_set_is_no_matter() {
    let due = |process: &Process<Puppet>| process.next_due();
    let soon: Made = || Reaction::nothing().set_timer("a", at());
    let later: Made = || Reaction::nothing().set_timer("a", at() + TimeDelta::hours(1));
    let gone: Made = || Reaction::nothing().cancel_timer("a");
    assert_eq!(due(&after(&[soon, later]).0), Some(at() + TimeDelta::hours(1)));
    assert_eq!(due(&after(&[later, soon]).0), Some(at()));
    assert_eq!(due(&after(&[soon, gone]).0), None);
    assert_eq!(after(&[gone]).1, Ok(0));
    assert_eq!(after(&[soon, gone, gone]).1, Ok(0));
    assert_eq!(due(&after(&[|| Reaction::nothing().set_timer("a", at()).cancel_timer("a")]).0), None);
    let ends: Made = || Reaction::nothing().complete();
    let (process, _) = after(&[soon, ends]);
    assert_eq!((process.status(), due(&process)), (ProcessStatus::Completed, None));
}

#[test]
fn what_makes_no_sense_after_everything_was_undone_is_refused() {
    for (undone, problem) in [
        (&[(|| Reaction::compensate("then a timer")) as Made], "sets a timer"),
        (&[|| Reaction::compensate("then an undo")], "with an undo"),
    ] {
        let (process, _) = after(undone);
        let fault = process.decide(&ProcessCommand::Undone { at: at() }).unwrap_err();
        assert!(fault.to_string().contains(problem), "{fault}");
        assert!(fault.to_string().starts_with("the reaction to undone "), "{fault}");
    }
    // It ends by itself, whatever is asked for.
    for undone in [
        &[(|| Reaction::compensate("then an end")) as Made],
        &[|| Reaction::compensate("then all over")],
        &[|| Reaction::compensate("then a cancelled timer")],
    ] {
        let (mut process, _) = after(undone);
        let events = process.decide(&ProcessCommand::Undone { at: at() }).unwrap();
        events.iter().for_each(|event| process.evolve(event));
        assert_eq!(process.status(), ProcessStatus::Compensated);
    }
}

#[test]
fn a_reason_is_cut_between_characters() {
    let (process, _) = after(&[|| Reaction::compensate(format!("x{}", "é".repeat(600)))]);
    let reason = process.reason().unwrap();
    assert_eq!((reason.len(), reason.ends_with('é')), (999, true));
}

#[test]
fn what_comes_after_the_end_or_while_all_is_undone_is_passed_over() {
    let steps: Made = || Reaction::nothing().then(step("late"));
    for end in [(|| Reaction::nothing().complete()) as Made, || Reaction::compensate("no")] {
        assert_eq!(after(&[end, steps]).1, Ok(0));
    }
}
