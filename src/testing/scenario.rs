//! Given, when, then: tests of an aggregate that need neither a runtime nor a database.

use std::fmt::{self, Debug, Write as _};

use super::round_trip;
use crate::domain::{Aggregate, Upcasters};

/// Tests an aggregate.
///
/// Given what has happened, when a command comes, then these events follow.
///
/// Every event and every rejection is also written and read back as a store would, and the command is decided twice:
/// an event that cannot be stored, or a `decide` that is not pure, fails the test.
///
/// ```
/// # use annals::Aggregate;
/// # use serde::{Deserialize, Serialize};
/// # #[derive(Debug, Default)] struct Counter(u64);
/// # #[derive(Debug, Serialize)] enum Command { Add(u64) }
/// # #[derive(Debug, PartialEq, Serialize, Deserialize)]
/// # #[serde(tag = "type", content = "data", rename_all = "kebab-case")]
/// # enum Event { Added { by: u64 } }
/// # #[derive(Debug, PartialEq, Serialize, Deserialize, thiserror::Error)]
/// # enum Rejection { #[error("adding nothing is not worth an event")] Nothing }
/// # impl Aggregate for Counter {
/// #     const TYPE: &'static str = "counter";
/// #     type Command = Command; type Event = Event; type Rejection = Rejection;
/// #     fn decide(&self, Command::Add(by): &Command) -> Result<Vec<Event>, Rejection> {
/// #         if *by == 0 { Err(Rejection::Nothing) } else { Ok(vec![Event::Added { by: *by }]) }
/// #     }
/// #     fn evolve(&mut self, Event::Added { by }: &Event) { self.0 += by; }
/// # }
/// use annals::testing::Scenario;
///
/// Scenario::<Counter>::given([Event::Added { by: 2 }])
///     .when(Command::Add(3))
///     .then([Event::Added { by: 3 }])
///     .then_state(|counter| counter.0 == 5);
///
/// Scenario::<Counter>::given_nothing().when(Command::Add(0)).then_rejected(Rejection::Nothing);
/// ```
#[must_use = "a scenario tests nothing before `when` and `then`"]
pub struct Scenario<A: Aggregate> {
    given: Vec<A::Event>,
}

/// Holds what a command led to. Made by [`Scenario::when`].
pub struct Decided<A: Aggregate> {
    given: Vec<A::Event>,
    command: String,
    decided: Result<Vec<A::Event>, A::Rejection>,
}

/// Says whether a state is as it should be.
///
/// `bool`, or `()` of a closure that asserts for itself.
pub trait Verdict: sealed::Sealed {
    /// Whether it is.
    fn holds(self) -> bool;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for bool {}
    impl Sealed for () {}
}

impl Verdict for bool {
    fn holds(self) -> bool {
        self
    }
}

impl Verdict for () {
    fn holds(self) -> bool {
        true
    }
}

impl<A> Scenario<A>
where
    A: Aggregate,
    A::Event: Debug + PartialEq,
    A::Rejection: Debug + PartialEq,
{
    /// Begins with an aggregate to which nothing has happened.
    pub const fn new() -> Self {
        Self { given: Vec::new() }
    }

    /// Begins with an aggregate to which nothing has happened.
    ///
    /// [`new`](Self::new), where it reads better.
    pub const fn given_nothing() -> Self {
        Self::new()
    }

    /// Begins with what has happened to the aggregate, the oldest first.
    pub fn given(events: impl IntoIterator<Item = A::Event>) -> Self {
        Self::new().and_given(events)
    }

    /// Adds what has happened since.
    pub fn and_given(mut self, events: impl IntoIterator<Item = A::Event>) -> Self {
        self.given.extend(events);
        self
    }

    /// Decides a command.
    ///
    /// # Panics
    ///
    /// Where a given or decided event, or the rejection, cannot be stored and read back; where `decide` gives two
    /// answers to one question.
    #[track_caller]
    #[must_use = "a scenario tests nothing before `then`"]
    pub fn when(self, command: A::Command) -> Decided<A> {
        match self.decide(command) {
            Ok(decided) => decided,
            Err(failure) => fail(&failure),
        }
    }

    #[expect(clippy::needless_pass_by_value, reason = "a scenario reads better where it is given its command")]
    fn decide(self, command: A::Command) -> Result<Decided<A>, String> {
        let state = folded::<A>(&self.given);
        let (decided, again) = (state.decide(&command), state.decide(&command));
        // The command needs no `Debug`: what is fingerprinted is what is shown.
        let command = serde_json::to_string(&command)
            .map_err(|error| format!("{}: the command cannot be written as JSON: {error}", A::TYPE))?;
        let it = Decided::<A> { given: self.given, command, decided };
        if it.decided != again {
            let mut report = it.report("`decide` is not pure, it gave two answers to one command in one state");
            answer::<A>(&mut report, "first", &it.decided, |_| false);
            answer::<A>(&mut report, "then", &again, |_| false);
            return Err(report);
        }
        it.check_stored()?;
        Ok(it)
    }
}

#[expect(clippy::return_self_not_must_use, reason = "what is expected has been checked; to go on is optional")]
impl<A> Decided<A>
where
    A: Aggregate,
    A::Event: Debug + PartialEq,
    A::Rejection: Debug + PartialEq,
{
    /// Expects exactly these events, in this order.
    ///
    /// # Panics
    ///
    /// Where the command led to others, or was rejected.
    #[track_caller]
    pub fn then(self, expected: impl IntoIterator<Item = A::Event>) -> Self {
        let expected: Vec<A::Event> = expected.into_iter().collect();
        if !self.decided.as_ref().is_ok_and(|decided| *decided == expected) {
            fail(&self.report_events(&expected));
        }
        self
    }

    /// Expects the command to be accepted and to lead to no event.
    ///
    /// # Panics
    ///
    /// Where it led to events, or was rejected.
    #[track_caller]
    pub fn then_nothing(self) -> Self {
        self.then([])
    }

    /// Expects this rejection.
    ///
    /// # Panics
    ///
    /// Where the command was accepted, or rejected for another reason.
    #[track_caller]
    #[expect(clippy::needless_pass_by_value, reason = "as `then` takes events: a test states what it expects")]
    pub fn then_rejected(self, expected: A::Rejection) -> Self {
        if self.decided.as_ref().err() != Some(&expected) {
            let mut report = self.report(match &self.decided {
                Ok(_) => "the command was accepted, a rejection was expected",
                Err(_) => "the command was rejected, but for another reason",
            });
            section(&mut report, "then expected the rejection");
            line(&mut report, true, None, &expected);
            answer::<A>(&mut report, "but", &self.decided, |_| true);
            fail(&report);
        }
        self
    }

    /// Looks at the state after the given and the decided events.
    ///
    /// A rejection leaves the state as it was given.
    ///
    /// The closure returns whether the state is as it should be, or asserts for itself and returns nothing.
    ///
    /// # Panics
    ///
    /// Where the closure returns `false`, or panics.
    #[track_caller]
    pub fn then_state<V: Verdict>(self, is_right: impl FnOnce(&A) -> V) -> Self {
        let mut state = folded::<A>(&self.given);
        self.decided.iter().flatten().for_each(|event| state.evolve(event));
        if !is_right(&state).holds() {
            let mut report = self.report("the state is not as expected");
            answer::<A>(&mut report, "then", &self.decided, |_| false);
            fail(&report);
        }
        self
    }

    /// Writes and reads back all that a store would have to keep.
    fn check_stored(&self) -> Result<(), String> {
        let upcasters = A::upcasters();
        self.given.iter().try_for_each(|event| self.check_event("given", &upcasters, event))?;
        match &self.decided {
            Ok(events) => events.iter().try_for_each(|event| self.check_event("decided", &upcasters, event)),
            Err(rejection) => {
                let refused = |why: String| {
                    let mut report = self.report("the rejection cannot be stored");
                    section(&mut report, "rejected");
                    line(&mut report, true, None, rejection);
                    let _ = write!(report, "\n{why}");
                    report
                };
                let read = round_trip::rejection::<A>(rejection).map_err(refused)?;
                if read == *rejection { Ok(()) } else { Err(refused(format!("it comes back as {read:?}"))) }
            }
        }
    }

    fn check_event(&self, which: &str, upcasters: &Upcasters, event: &A::Event) -> Result<(), String> {
        let refused = |why: String| {
            let mut report = self.report(&format!("a {which} event cannot be stored"));
            section(&mut report, which);
            line(&mut report, true, None, event);
            let _ = write!(report, "\n{why}");
            report
        };
        let (encoded, read) = round_trip::event::<A>(upcasters, event).map_err(refused)?;
        if read == *event {
            return Ok(());
        }
        Err(refused(format!("it is stored as {} and comes back as {read:?}", round_trip::shown(&encoded))))
    }

    fn report_events(&self, expected: &[A::Event]) -> String {
        let decided: &[A::Event] = self.decided.as_deref().unwrap_or_default();
        let differs = |at: usize| self.decided.is_err() || expected.get(at) != decided.get(at);
        let mut report = self.report(match &self.decided {
            Ok(_) => "the command led to other events than expected",
            Err(_) => "the command was rejected, events were expected",
        });
        section(&mut report, "then expected");
        lines(&mut report, expected, differs);
        if expected.is_empty() {
            nothing(&mut report);
        }
        answer::<A>(&mut report, "but", &self.decided, differs);
        report
    }

    /// The head of every failure: what is wrong, and the question that was put.
    fn report(&self, wrong: &str) -> String {
        let mut report = format!("{}: {wrong}\n", A::TYPE);
        section(&mut report, "given");
        lines(&mut report, &self.given, |_| false);
        if self.given.is_empty() {
            nothing(&mut report);
        }
        section(&mut report, "when");
        let _ = writeln!(report, "       {}", self.command);
        report
    }
}

/// What `decide` said, under a heading that begins with `word`.
fn answer<A: Aggregate>(
    report: &mut String,
    word: &str,
    decided: &Result<Vec<A::Event>, A::Rejection>,
    differs: impl Fn(usize) -> bool,
) where
    A::Event: Debug,
{
    match decided {
        Ok(events) => {
            section(report, &format!("{word} decided"));
            lines(report, events, differs);
            if events.is_empty() {
                nothing(report);
            }
        }
        Err(rejection) => {
            section(report, &format!("{word} rejected"));
            line(report, differs(0), None, rejection);
        }
    }
}

fn folded<A: Aggregate>(events: &[A::Event]) -> A {
    let mut state = A::default();
    events.iter().for_each(|event| state.evolve(event));
    state
}

fn section(report: &mut String, name: &str) {
    let _ = writeln!(report, "{name}");
}

fn nothing(report: &mut String) {
    let _ = writeln!(report, "       (nothing)");
}

/// One event per line, numbered, with a marker before those that differ.
fn lines<T: Debug>(report: &mut String, events: &[T], differs: impl Fn(usize) -> bool) {
    for (at, event) in events.iter().enumerate() {
        line(report, differs(at), Some(at + 1), event);
    }
}

fn line(report: &mut String, differs: bool, number: Option<usize>, value: &impl Debug) {
    let marker = if differs { '>' } else { ' ' };
    let number = number.map(|number| number.to_string()).unwrap_or_default();
    let _ = writeln!(report, "  {marker} {number:>2} {value:?}");
}

#[track_caller]
#[expect(clippy::panic, reason = "this is how a test fails")]
fn fail(report: &str) -> ! {
    panic!("{report}")
}

impl<A> Default for Scenario<A>
where
    A: Aggregate,
    A::Event: Debug + PartialEq,
    A::Rejection: Debug + PartialEq,
{
    fn default() -> Self {
        Self::new()
    }
}

impl<A: Aggregate> Debug for Scenario<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scenario").field("aggregate", &A::TYPE).field("given", &self.given.len()).finish()
    }
}

impl<A: Aggregate> Debug for Decided<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decided")
            .field("aggregate", &A::TYPE)
            .field("command", &self.command)
            .field("accepted", &self.decided.is_ok())
            .finish_non_exhaustive()
    }
}
