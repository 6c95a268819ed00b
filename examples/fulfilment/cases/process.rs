//! The fulfilment of an order, as an aggregate: given what has happened, when it is told something, then this follows.

use annals::{
    Aggregate as _,
    domain::encode_event,
    process::{Cause, Process, ProcessCommand, ProcessEvent, ProcessNote, ProcessStatus, ProcessStepState, StepWork},
    testing::Scenario,
};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::value::{RawValue, to_raw_value};

use crate::{
    fulfilment::{Fulfilment, FulfilmentEvent, Input, SHIP_BY, order_id, shipment_id},
    order::{Card, Line, Placed, Why},
    payments::Charged,
};

type Command = ProcessCommand<Input>;
type Event = ProcessEvent<FulfilmentEvent>;

fn at() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

fn deadline() -> DateTime<Utc> {
    at() + TimeDelta::days(1)
}

fn order() -> Placed {
    let line = |article: &str, quantity| Line { article: article.to_owned(), quantity, unit_cents: 1_000 };
    Placed {
        number: "7".to_owned(),
        lines: vec![line("lantern", 2), line("teapot", 1)],
        card: Card::Good,
        ship_by: deadline(),
    }
}

fn take(sequence: u64, input: Input) -> Command {
    let aggregate_id = match &input {
        Input::Placed(placed) => order_id(&placed.number).uuid(),
        Input::HandedOver { order, .. } => shipment_id(order).uuid(),
    };
    Command::Take { cause: Cause::Event { aggregate_id, sequence }, input, at: at() }
}

fn placed() -> Command {
    take(1, Input::Placed(order()))
}

fn handed_over() -> Command {
    take(2, Input::HandedOver { order: "7".to_owned(), parcel: "p".to_owned() })
}

fn charged() -> Charged {
    Charged { charge: "ch_1".to_owned(), key: "k".to_owned(), attempts: 1, replayed: false }
}

fn settle(step: &str, outcome: Result<Box<RawValue>, Box<RawValue>>) -> Command {
    Command::Settle { step: step.to_owned(), outcome, at: at() }
}

fn paid() -> Command {
    settle("charge", Ok(to_raw_value(&charged()).unwrap()))
}

fn done(step: &str) -> Command {
    settle(step, Ok(to_raw_value(&()).unwrap()))
}

fn refused(step: &str) -> Command {
    settle(step, Err(to_raw_value("no").unwrap()))
}

fn due() -> Command {
    Command::Fire { at: deadline() }
}

fn undone() -> Command {
    Command::Undone { at: at() }
}

fn booked() -> Vec<Command> {
    vec![placed(), paid(), done("reserve lantern"), done("reserve teapot"), done("book")]
}

/// A process that was told all this.
fn given(commands: impl IntoIterator<Item = Command>) -> Scenario<Process<Fulfilment>> {
    let (mut process, mut history) = (Process::<Fulfilment>::default(), Vec::new());
    for command in commands {
        for event in process.decide(&command).unwrap() {
            process.evolve(&event);
            history.push(event);
        }
    }
    Scenario::given(history)
}

fn names(events: &[Event]) -> Vec<String> {
    events.iter().map(|event| encode_event(event).unwrap().event_type.to_owned()).collect()
}

fn planned(process: &Process<Fulfilment>) -> Vec<&str> {
    let planned = process.steps().iter().filter(|step| step.state == ProcessStepState::Planned);
    planned.map(|step| step.planned.name.as_str()).collect()
}

/// What a scenario leads to is looked at as a whole.
fn told(commands: impl IntoIterator<Item = Command>, command: &Command) -> Vec<Event> {
    let mut process = Process::<Fulfilment>::default();
    for command in commands {
        for event in process.decide(&command).unwrap() {
            process.evolve(&event);
        }
    }
    process.decide(command).unwrap()
}

#[test]
fn an_order_is_charged_first_and_nothing_else_is_begun() {
    let scenario = given([]).when(placed());
    scenario.then_state(|process| {
        assert_eq!((process.status(), process.next_due()), (ProcessStatus::Running, Some(deadline())));
        assert_eq!(planned(process), ["charge"]);
        let work = &process.step("charge").unwrap().planned.work;
        let StepWork::Call { handler, request, undo_handler, .. } = work else { panic!("{work:?}") };
        assert_eq!((handler.as_str(), undo_handler.as_deref()), ("charge", Some("refund")));
        assert_eq!(request.get(), r#"{"order":"7","cents":3000,"card":"good"}"#);
    });
    let names = names(&told([], &placed()));
    assert_eq!(names, ["process-defined", "fulfilment-begun", "process-step-planned", "process-timer-set"]);
    given([placed()]).when(placed()).then_nothing();
}

#[test]
fn what_is_paid_is_reserved_article_by_article_and_then_booked() {
    given([placed()]).when(paid()).then_state(|process| {
        assert_eq!(planned(process), ["reserve lantern", "reserve teapot", "book"]);
        let is_undoable = |name: &str| process.step(name).unwrap().planned.work.is_undoable();
        // The shipment is called off before anything is undone: it is the one that knows who was first.
        assert!(is_undoable("reserve lantern") && is_undoable("reserve teapot") && !is_undoable("book"));
    });
    let events = told([placed()], &paid());
    assert!(events.contains(&Event::Own(FulfilmentEvent::PaymentReceived(charged()))), "{events:?}");
}

#[test]
fn a_parcel_that_was_handed_over_ends_the_waiting_and_the_order_is_told() {
    given(booked()).when(handed_over()).then_state(|process| {
        assert_eq!(planned(process), ["hand-out lantern", "hand-out teapot", "mark-shipped"]);
        assert_eq!((process.status(), process.next_due()), (ProcessStatus::Running, None));
    });
    let handed_out = || booked().into_iter().chain([handed_over(), done("hand-out lantern"), done("hand-out teapot")]);
    given(handed_out()).when(done("mark-shipped")).then_state(|process| process.status() == ProcessStatus::Completed);
    // What must not be refused leaves the process open.
    given(handed_out()).when(refused("mark-shipped")).then_state(|process| process.status() == ProcessStatus::Running);
}

#[test]
fn a_parcel_may_be_handed_over_before_its_booking_is_noted() {
    let early = [placed(), paid(), done("reserve lantern"), done("reserve teapot"), handed_over()];
    given(early).when(done("book")).then_state(|process| {
        assert_eq!(planned(process), ["hand-out lantern", "hand-out teapot", "mark-shipped"]);
    });
}

#[test]
fn what_is_refused_has_everything_undone_and_then_the_order_is_cancelled() {
    let declined: (fn() -> Vec<Command>, _, _) = (|| vec![placed()], "charge", Why::Declined);
    let out: (fn() -> Vec<Command>, _, _) =
        (|| vec![placed(), paid(), done("reserve lantern")], "reserve teapot", Why::OutOfStock);
    for (history, step, why) in [declined, out] {
        let events = told(history(), &refused(step));
        let given_up = Event::Own(FulfilmentEvent::FulfilmentGivenUp { why });
        assert!(events.contains(&given_up), "{events:?}");
        given(history()).when(refused(step)).then_state(|process| {
            assert_eq!((process.status(), process.reason()), (ProcessStatus::Compensating, Some(why.as_str())));
            assert_eq!((process.next_step().is_none(), process.next_due()), (true, None));
        });
        let refused = || history().into_iter().chain([refused(step)]);
        given(refused()).when(undone()).then_state(|process| {
            assert_eq!((process.status(), planned(process)), (ProcessStatus::Closing, vec!["cancel"]));
            let work = &process.step("cancel").unwrap().planned.work;
            let StepWork::Command { command, .. } = work else { panic!("{work:?}") };
            let why = serde_json::to_string(&why).unwrap();
            assert_eq!(command.get(), format!(r#"{{"cancel":{{"why":{why}}}}}"#));
        });
        let closing = refused().chain([undone()]);
        given(closing).when(done("cancel")).then_state(|process| process.status() == ProcessStatus::Compensated);
    }
}

#[test]
fn a_deadline_before_the_payment_is_known_leaves_it_to_the_undoing_to_find_out() {
    let events = told([placed()], &due());
    assert!(events.contains(&Event::Note(ProcessNote::ProcessTimerFired { timer: SHIP_BY.to_owned() })), "{events:?}");
    given([placed()]).when(due()).then_state(|process| {
        assert_eq!(process.status(), ProcessStatus::Compensating);
        assert_eq!(process.step("charge").unwrap().state, ProcessStepState::Planned);
    });
    // The answer that comes now is noted, and nothing follows from it.
    assert_eq!(names(&told([placed(), due()], &paid())), ["process-step-done"]);
}

#[test]
fn a_deadline_after_the_payment_is_decided_by_the_shipment() {
    let late = || booked().into_iter().chain([due()]);
    given(booked()).when(due()).then_state(|process| {
        assert_eq!((process.status(), planned(process)), (ProcessStatus::Running, vec!["call-off"]));
    });
    given(late()).when(done("call-off")).then_state(|process| process.reason() == Some("deadline missed"));
    // The parcel was faster: what the shipment has said goes.
    let faster = late().chain([handed_over()]);
    given(faster).when(refused("call-off")).then_state(|process| {
        assert_eq!(process.status(), ProcessStatus::Running);
        assert_eq!(planned(process), ["hand-out lantern", "hand-out teapot", "mark-shipped"]);
    });
}
