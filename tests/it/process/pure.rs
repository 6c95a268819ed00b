//! What a process records about what happens to it: without a runtime, without a database.

use annals::{
    Aggregate as _, Id,
    process::{Cause, Process, ProcessCommand, ProcessEvent, ProcessFault, ProcessNote, ProcessStatus},
    testing::Scenario,
};
use chrono::{DateTime, Utc};
use serde_json::value::RawValue;
use uuid::Uuid;

use super::trip::{Booking, BookingEvent, Input, Trip, booking_of, patience};

type Command = ProcessCommand<Input>;
type Event = ProcessEvent<BookingEvent>;

fn at() -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000, 0).unwrap()
}

fn trip() -> Id<Trip> {
    Id::from_uuid(Uuid::from_u128(7))
}

fn take(sequence: u64, input: Input) -> Command {
    ProcessCommand::Take { cause: Cause::Event { aggregate_id: trip().uuid(), sequence }, input, at: at() }
}

fn json(text: &str) -> Box<RawValue> {
    RawValue::from_string(text.to_owned()).unwrap()
}

fn done(step: &str) -> Command {
    ProcessCommand::Settle { step: step.to_owned(), outcome: Ok(json("null")), at: at() }
}

fn refused(step: &str) -> Command {
    ProcessCommand::Settle { step: step.to_owned(), outcome: Err(json("\"no\"")), at: at() }
}

fn requested() -> Command {
    take(1, Input::Requested { trip: trip(), pence: 4_200, seats: 2 })
}

/// Runs commands on a process, and gives it with what the last one led to.
fn after(commands: impl IntoIterator<Item = Command>) -> (Process<Booking>, Result<Vec<Event>, ProcessFault>) {
    let (mut process, mut last) = (Process::<Booking>::default(), Ok(Vec::new()));
    for command in commands {
        last = process.decide(&command);
        for event in last.iter().flatten() {
            // Through what is stored.
            let stored = annals::domain::encode_event(event).unwrap();
            let upcasters = Process::<Booking>::upcasters();
            let read: Event = annals::domain::decode_event(&upcasters, stored.event_type, 1, &stored.payload).unwrap();
            assert_eq!(&read, event);
            process.evolve(&read);
        }
    }
    (process, last)
}

fn names(events: &[Event]) -> Vec<String> {
    events.iter().map(|event| annals::domain::encode_event(event).unwrap().event_type.to_owned()).collect()
}

#[test]
fn what_is_decided_is_recorded_as_a_whole_before_anything_is_done() {
    let (process, events) = after([requested()]);
    let planned = "process-step-planned";
    let expected = ["process-defined", "booking-begun", planned, planned, planned, "process-timer-set"];
    assert_eq!(names(&events.unwrap()), expected);
    assert_eq!(process.status(), ProcessStatus::Running);
    let next = process.next_step().unwrap();
    assert_eq!((next.name.as_str(), next.ordinal), ("seats", 1));
    assert_eq!(next.cause, Cause::Event { aggregate_id: trip().uuid(), sequence: 1 });
    assert_eq!(process.next_due(), Some(at() + patience()));
    assert_eq!(process.manager().pence, 4_200);
}

#[test]
fn a_process_completes_when_no_step_is_left_and_stays_so() {
    let (process, events) = after([requested(), done("seats"), done("hotel"), done("charge")]);
    assert_eq!(names(&events.unwrap()), ["process-step-done", "process-completing", "process-completed"]);
    assert_eq!((process.status(), process.next_due()), (ProcessStatus::Completed, None));
    let late = [requested(), done("seats"), done("hotel"), done("charge"), take(2, Input::Cancelled { trip: trip() })];
    let (process, events) = after(late);
    assert_eq!((process.status(), events.unwrap().len()), (ProcessStatus::Completed, 0));
}

#[test]
fn a_refused_step_has_everything_undone_and_then_what_follows_is_done() {
    let (process, _) = after([requested(), done("seats"), refused("hotel")]);
    assert_eq!(process.status(), ProcessStatus::Compensating);
    assert_eq!((process.reason(), process.next_step().is_none()), (Some("hotel was refused"), true));
    let undone = || [requested(), done("seats"), refused("hotel"), ProcessCommand::Undone { at: at() }];
    let (process, events) = after(undone());
    assert_eq!(names(&events.unwrap()), ["process-undone", "process-step-planned"]);
    assert_eq!((process.status(), process.next_step().unwrap().name.as_str()), (ProcessStatus::Closing, "notify"));
    let (process, events) = after(undone().into_iter().chain([done("notify")]));
    assert_eq!(names(&events.unwrap()), ["process-step-done", "process-compensated"]);
    assert_eq!(process.status(), ProcessStatus::Compensated);
}

#[test]
fn http_l08_a_cancellation_and_the_last_step_end_in_one_state_whichever_comes_first() {
    let cancel = || take(2, Input::Cancelled { trip: trip() });
    let (process, _) = after([requested(), done("seats"), done("hotel"), cancel(), done("charge")]);
    assert_eq!(process.status(), ProcessStatus::Compensating);
    let (process, _) = after([requested(), done("seats"), done("hotel"), done("charge"), cancel()]);
    assert_eq!(process.status(), ProcessStatus::Completed);
}

#[test]
fn what_is_said_again_changes_nothing() {
    for again in [
        vec![requested(), done("seats"), done("seats")],
        vec![requested(), done("seats"), refused("seats")],
        vec![requested(), ProcessCommand::Fire { at: at() }],
        vec![requested(), refused("seats"), ProcessCommand::Undone { at: at() }, ProcessCommand::Undone { at: at() }],
    ] {
        let (_, events) = after(again);
        assert_eq!(events.unwrap(), []);
    }
    assert_eq!(after([requested(), ProcessCommand::Undone { at: at() }]).1, Err(ProcessFault::Moved));
    assert_eq!(after([requested(), done("other")]).1, Err(ProcessFault::Moved));
}

#[test]
fn a_timer_fires_when_it_is_due_and_not_before() {
    let due = at() + patience();
    let early = ProcessCommand::Fire { at: due - chrono::TimeDelta::microseconds(1) };
    assert_eq!(after([requested(), early]).1.unwrap(), []);
    let (process, events) = after([requested(), ProcessCommand::Fire { at: due }]);
    assert_eq!(names(&events.unwrap()), ["process-timer-fired", "process-compensation-begun"]);
    assert_eq!(process.status(), ProcessStatus::Compensating);
}

#[test]
fn the_given_when_then_of_aggregates_is_that_of_processes() {
    let begun = || {
        [
            ProcessEvent::Note(ProcessNote::ProcessDefined { version: 1 }),
            ProcessEvent::Own(BookingEvent::BookingBegun { trip: trip().uuid(), pence: 1 }),
        ]
    };
    Scenario::<Process<Booking>>::given(begun())
        .when(take(2, Input::Mentioned { trip: trip(), number: 3 }))
        .then([ProcessEvent::Own(BookingEvent::Noted(3))]);
    Scenario::<Process<Booking>>::given([]).when(take(2, Input::Mentioned { trip: trip(), number: 3 })).then_nothing();
    assert_eq!(booking_of(trip()), booking_of(trip()));
    assert_ne!(booking_of(trip()).uuid(), trip().uuid());
}
