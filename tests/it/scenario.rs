//! What a failed scenario says.

use std::{
    cell::Cell,
    panic::{AssertUnwindSafe, catch_unwind},
    thread::LocalKey,
};

use annals::{Aggregate, testing::Scenario};
use serde::{Deserialize, Deserializer, Serialize};

#[derive(Debug, Default)]
struct Door {
    open: bool,
    locked: bool,
}

#[derive(Debug, Serialize)]
enum Command {
    Open { key: Option<String> },
    Close,
    Flicker,
    Forget,
    Jam,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "kebab-case")]
enum Event {
    Unlocked { key: String },
    Opened,
    Closed,
    Locked,
    Forgotten(Forgetful),
    Angled { degrees: f64 },
}

/// Is written as a number and comes back as none.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Forgetful(u8);

impl<'de> Deserialize<'de> for Forgetful {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        u8::deserialize(deserializer).map(|_| Self(0))
    }
}

#[derive(Debug, PartialEq, Serialize, Deserialize, thiserror::Error)]
enum Rejection {
    #[error("the door is locked")]
    Locked,
    #[error("the door is open")]
    Open,
    #[error("the door is jammed")]
    Jammed(Unwritable),
}

#[derive(Debug, PartialEq, Deserialize)]
struct Unwritable;

impl Serialize for Unwritable {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("words fail"))
    }
}

thread_local! {
    static FLICKER: Cell<bool> = const { Cell::new(false) };
}

impl Aggregate for Door {
    const TYPE: &'static str = "door";
    type Command = Command;
    type Event = Event;
    type Rejection = Rejection;

    fn decide(&self, command: &Command) -> Result<Vec<Event>, Rejection> {
        match command {
            Command::Open { .. } if self.open => Ok(vec![]),
            Command::Open { key: None } if self.locked => Err(Rejection::Locked),
            Command::Open { key: Some(key) } if self.locked => {
                Ok(vec![Event::Unlocked { key: key.clone() }, Event::Opened])
            }
            Command::Open { .. } => Ok(vec![Event::Opened]),
            Command::Close => Ok(vec![Event::Closed]),
            Command::Flicker if flip(&FLICKER) => Err(Rejection::Open),
            Command::Flicker => Ok(vec![Event::Closed]),
            Command::Forget => Ok(vec![Event::Forgotten(Forgetful(7))]),
            Command::Jam => Err(Rejection::Jammed(Unwritable)),
        }
    }

    fn evolve(&mut self, event: &Event) {
        match event {
            Event::Unlocked { .. } => self.locked = false,
            Event::Opened => self.open = true,
            Event::Closed => self.open = false,
            Event::Locked => self.locked = true,
            Event::Forgotten(_) | Event::Angled { .. } => {}
        }
    }
}

fn flip(cell: &'static LocalKey<Cell<bool>>) -> bool {
    cell.replace(!cell.get())
}

fn open(key: Option<&str>) -> Command {
    Command::Open { key: key.map(str::to_owned) }
}

fn unlocked() -> Event {
    Event::Unlocked { key: "brass".into() }
}

/// The message a scenario fails with.
#[track_caller]
fn failure<T>(scenario: impl FnOnce() -> T) -> String {
    let Err(panic) = catch_unwind(AssertUnwindSafe(scenario)) else {
        panic!("the scenario did not fail");
    };
    *panic.downcast::<String>().unwrap()
}

#[test]
fn what_is_as_expected_passes_and_can_be_chained() {
    Scenario::<Door>::given_nothing().when(open(None)).then([Event::Opened]).then_state(|door| door.open);
    Scenario::<Door>::new().when(Command::Close).then([Event::Closed]).then_state(|door| assert!(!door.open));
    Scenario::<Door>::given([Event::Locked])
        .when(open(Some("brass")))
        .then([unlocked(), Event::Opened])
        .then_state(|door| door.open && !door.locked);
    Scenario::<Door>::given([Event::Locked])
        .when(open(None))
        .then_rejected(Rejection::Locked)
        .then_state(|door| door.locked && !door.open);
    Scenario::<Door>::given([Event::Locked]).and_given([unlocked(), Event::Opened]).when(open(None)).then_nothing();
}

#[test]
fn other_events_than_expected_are_shown_line_by_line() {
    let message = failure(|| {
        Scenario::<Door>::given([Event::Locked]).when(open(Some("brass"))).then([
            unlocked(),
            Event::Closed,
            Event::Locked,
        ])
    });
    assert_eq!(
        message,
        r#"door: the command led to other events than expected
given
     1 Locked
when
       {"Open":{"key":"brass"}}
then expected
     1 Unlocked { key: "brass" }
  >  2 Closed
  >  3 Locked
but decided
     1 Unlocked { key: "brass" }
  >  2 Opened
"#
    );
}

#[test]
fn an_event_too_many_is_marked_where_none_was_expected() {
    let message = failure(|| Scenario::<Door>::given_nothing().when(Command::Close).then_nothing());
    assert_eq!(
        message,
        r#"door: the command led to other events than expected
given
       (nothing)
when
       "Close"
then expected
       (nothing)
but decided
  >  1 Closed
"#
    );
    let message = failure(|| Scenario::<Door>::given([Event::Opened]).when(open(None)).then([Event::Opened]));
    assert!(message.ends_with("then expected\n  >  1 Opened\nbut decided\n       (nothing)\n"), "{message}");
}

#[test]
fn a_rejection_where_events_were_expected_is_shown() {
    let message = failure(|| Scenario::<Door>::given([Event::Locked]).when(open(None)).then([Event::Opened]));
    assert_eq!(
        message,
        r#"door: the command was rejected, events were expected
given
     1 Locked
when
       {"Open":{"key":null}}
then expected
  >  1 Opened
but rejected
  >    Locked
"#
    );
}

#[test]
fn another_rejection_and_none_at_all_are_told_apart() {
    let message = failure(|| Scenario::<Door>::given([Event::Locked]).when(open(None)).then_rejected(Rejection::Open));
    assert_eq!(
        message,
        r#"door: the command was rejected, but for another reason
given
     1 Locked
when
       {"Open":{"key":null}}
then expected the rejection
  >    Open
but rejected
  >    Locked
"#
    );
    let message = failure(|| Scenario::<Door>::new().when(Command::Close).then_rejected(Rejection::Open));
    assert!(message.starts_with("door: the command was accepted, a rejection was expected\n"), "{message}");
    assert!(message.ends_with("then expected the rejection\n  >    Open\nbut decided\n  >  1 Closed\n"), "{message}");
}

#[test]
fn a_state_that_is_not_as_expected_shows_what_led_to_it() {
    let message = failure(|| Scenario::<Door>::new().when(open(None)).then_state(|door| door.locked));
    assert_eq!(
        message,
        r#"door: the state is not as expected
given
       (nothing)
when
       {"Open":{"key":null}}
then decided
     1 Opened
"#
    );
}

#[test]
fn a_decide_that_is_not_pure_fails() {
    let message = failure(|| Scenario::<Door>::new().when(Command::Flicker));
    assert_eq!(
        message,
        r#"door: `decide` is not pure, it gave two answers to one command in one state
given
       (nothing)
when
       "Flicker"
first decided
     1 Closed
then rejected
       Open
"#
    );
}

#[test]
fn an_event_that_does_not_come_back_as_it_was_fails() {
    let message = failure(|| Scenario::<Door>::new().when(Command::Forget));
    assert_eq!(
        message,
        r#"door: a decided event cannot be stored
given
       (nothing)
when
       "Forget"
decided
  >    Forgotten(Forgetful(7))

it is stored as "forgotten" 7 and comes back as Forgotten(Forgetful(0))"#
    );
    // JSON has no infinity.
    let infinite = Event::Angled { degrees: f64::INFINITY };
    let message = failure(|| Scenario::<Door>::given([Event::Opened, infinite]).when(Command::Close));
    assert!(message.starts_with("door: a given event cannot be stored\n"), "{message}");
    let why = "it is stored as \"angled\" {\"degrees\":null} and cannot be read back: payload of event type \"angled\" \
               does not fit: ";
    assert!(message.contains(why), "{message}");
}

#[test]
fn a_rejection_that_cannot_be_stored_fails() {
    let message = failure(|| Scenario::<Door>::new().when(Command::Jam));
    assert!(message.starts_with("door: the rejection cannot be stored\n"), "{message}");
    assert!(message.ends_with("rejected\n  >    Jammed(Unwritable)\n\nit cannot be written: words fail"), "{message}");
}

#[test]
fn a_failure_points_at_the_line_of_the_test() {
    let place = std::sync::Arc::new(std::sync::Mutex::new(None));
    let seen = std::sync::Arc::clone(&place);
    let thread = std::thread::current().id();
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if std::thread::current().id() == thread {
            *seen.lock().unwrap() = info.location().map(|location| (location.file().to_owned(), location.line()));
        } else {
            before(info);
        }
    }));
    let line = line!() + 1;
    failure(|| Scenario::<Door>::new().when(open(None)).then([]));
    assert_eq!(place.lock().unwrap().take(), Some((file!().to_owned(), line)));
}
