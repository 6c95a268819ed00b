//! Random histories: what callers may do to a store, in any order.

use annals::ExpectedVersion;
use proptest::{collection::vec, option, prelude::*};

/// How many aggregates, keys and contents a history uses: few, so that they meet.
const AGGREGATES: usize = 3;
const KEYS: u8 = 3;
const CONTENTS: u8 = 2;

#[derive(Debug, Clone)]
pub enum Step {
    /// Sends a batch of appends.
    Append(Vec<Item>),
    Execute(Command),
    /// Lets time pass, so that receipts expire.
    Wait {
        seconds: u8,
    },
    /// Closes the store and opens it again, where it is a file.
    Reopen,
    /// Reads a part of a stream.
    Read {
        aggregate: usize,
        from: u64,
        to: u64,
        limit: Option<u64>,
        backward: bool,
    },
}

#[derive(Debug, Clone)]
pub enum Item {
    New(Draft),
    /// The very append that was sent so many appends ago.
    Again(prop::sample::Index),
}

/// An append, before it is known what is there.
#[derive(Debug, Clone)]
pub struct Draft {
    pub aggregate: usize,
    pub is_other_type: bool,
    pub expected: Expectation,
    pub events: usize,
    pub content: u8,
    pub actor: bool,
    pub key: Option<u8>,
    pub fingerprint: Option<u8>,
    pub keep_seconds: Option<u8>,
    /// The command id of an earlier append.
    pub command_id_of: Option<prop::sample::Index>,
    pub is_rejection: bool,
    /// Says whose event it follows: truly or not.
    pub follows: Option<bool>,
}

#[derive(Debug, Clone, Copy)]
pub enum Expectation {
    Any,
    New,
    Exists,
    /// So far from the version that the aggregate has.
    Near(i8),
}

#[derive(Debug, Clone)]
pub struct Command {
    pub aggregate: usize,
    pub events: u8,
    pub is_refused: bool,
    pub key: Option<u8>,
    pub request: Option<u8>,
    pub expected: Expectation,
    pub keep_seconds: Option<u8>,
}

impl Expectation {
    pub fn at(self, version: u64) -> ExpectedVersion {
        match self {
            Self::Any => ExpectedVersion::Any,
            Self::New => ExpectedVersion::New,
            Self::Exists => ExpectedVersion::Exists,
            Self::Near(distance) => ExpectedVersion::Exact(version.saturating_add_signed(i64::from(distance))),
        }
    }
}

fn expectation() -> impl Strategy<Value = Expectation> {
    prop_oneof![
        3 => Just(Expectation::Any),
        2 => Just(Expectation::New),
        1 => Just(Expectation::Exists),
        4 => Just(Expectation::Near(0)),
        2 => (-3_i8..=2).prop_map(Expectation::Near),
    ]
}

fn draft() -> impl Strategy<Value = Draft> {
    let content = (0..AGGREGATES, prop::bool::weighted(0.04), expectation(), 0..4_usize, 0..CONTENTS, any::<bool>());
    let identity = (
        option::weighted(0.4, 0..KEYS),
        option::weighted(0.3, 0..CONTENTS),
        option::weighted(0.3, 1..6_u8),
        option::weighted(0.2, any::<prop::sample::Index>()),
        prop::bool::weighted(0.1),
        option::weighted(0.15, prop::bool::weighted(0.7)),
    );
    (content, identity).prop_map(
        |(
            (aggregate, is_other_type, expected, events, content, actor),
            (key, fingerprint, keep_seconds, command_id_of, is_rejection, follows),
        )| Draft {
            aggregate,
            is_other_type,
            expected,
            events,
            content,
            actor,
            key,
            fingerprint,
            keep_seconds,
            command_id_of,
            is_rejection,
            follows,
        },
    )
}

fn command() -> impl Strategy<Value = Command> {
    (
        0..AGGREGATES,
        0..3_u8,
        prop::bool::weighted(0.25),
        option::weighted(0.6, 0..KEYS),
        option::weighted(0.2, 0..CONTENTS),
        expectation(),
        option::weighted(0.3, 1..6_u8),
    )
        .prop_map(|(aggregate, events, is_refused, key, request, expected, keep_seconds)| Command {
            aggregate,
            events,
            is_refused,
            key,
            request,
            expected,
            keep_seconds,
        })
}

fn step() -> impl Strategy<Value = Step> {
    let item =
        || prop_oneof![3 => draft().prop_map(Item::New), 2 => any::<prop::sample::Index>().prop_map(Item::Again)];
    let read = (0..AGGREGATES, 0..6_u64, 0..9_u64, option::of(0..4_u64), any::<bool>())
        .prop_map(|(aggregate, from, to, limit, backward)| Step::Read { aggregate, from, to, limit, backward });
    prop_oneof![
        5 => vec(item(), 1..2).prop_map(Step::Append),
        2 => vec(item(), 2..6).prop_map(Step::Append),
        5 => command().prop_map(Step::Execute),
        1 => (1..5_u8).prop_map(|seconds| Step::Wait { seconds }),
        1 => Just(Step::Reopen),
        1 => read,
    ]
}

pub fn history(steps: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Step>> {
    vec(step(), steps)
}
