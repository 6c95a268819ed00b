//! A small aggregate whose answers tell when they were decided.

use std::time::{Duration, Instant};

use annals::{Aggregate, ExecuteError, Executed, Id, IdempotencyKey, Metadata, Repository};
use serde::{Deserialize, Serialize};

#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    pub sum: u64,
}

#[derive(Debug, Clone, Serialize)]
pub enum TallyCommand {
    /// Leads to as many events, each adding 1.
    Add { events: u8 },
    /// Leads to no event.
    Nothing,
    /// Is always rejected, with the sum it was decided at.
    Refuse,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "kebab-case")]
pub enum TallyEvent {
    Added { by: u64 },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("refused at {sum}")]
pub struct Refused {
    pub sum: u64,
}

impl Aggregate for Tally {
    const TYPE: &'static str = "tally";
    type Command = TallyCommand;
    type Event = TallyEvent;
    type Rejection = Refused;

    fn decide(&self, command: &TallyCommand) -> Result<Vec<TallyEvent>, Refused> {
        match command {
            TallyCommand::Add { events } => Ok(vec![TallyEvent::Added { by: 1 }; usize::from(*events)]),
            TallyCommand::Nothing => Ok(Vec::new()),
            TallyCommand::Refuse => Err(Refused { sum: self.sum }),
        }
    }

    fn evolve(&mut self, event: &TallyEvent) {
        let TallyEvent::Added { by } = event;
        self.sum += by;
    }
}

/// What names begin with whose requests are sent without a key: a request that is sent again is then another one.
pub const UNKEYED: &str = "unkeyed-";

/// The longest a request is sent again and again.
const LONGEST_WAIT: Duration = Duration::from_secs(120);

/// One request of a campaign: everything follows from its name, so that another process can repeat it.
///
/// Its events bear the name, keyed or not. What stands before a dot in it is an era of its own, with its own aggregates.
#[derive(Debug, Clone)]
pub struct Request {
    pub name: String,
    /// None for a name that begins with [`UNKEYED`].
    pub key: Option<IdempotencyKey>,
    pub id: Id<Tally>,
    pub command: TallyCommand,
}

impl Request {
    pub fn of(name: &str) -> Self {
        let seed = name.bytes().fold(17_u64, |hash, byte| hash.wrapping_mul(0x0100_0000_01b3) ^ u64::from(byte));
        let mut random = fastrand::Rng::with_seed(seed);
        let era = name.trim_start_matches(UNKEYED).split_once('.').map_or("", |(era, _)| era);
        let id = Id::natural(&format!("{era} tally {}", random.u8(..5)));
        let command = match random.u8(..10) {
            0 => TallyCommand::Nothing,
            1 | 2 => TallyCommand::Refuse,
            _ => TallyCommand::Add { events: random.u8(1..=5) },
        };
        let key = (!name.starts_with(UNKEYED)).then(|| IdempotencyKey::new(name).unwrap());
        Self { name: name.to_owned(), key, id, command }
    }

    pub fn events(&self) -> usize {
        if let TallyCommand::Add { events } = self.command { usize::from(events) } else { 0 }
    }

    pub async fn run(&self, tallies: &Repository<Tally>) -> Result<Executed, ExecuteError<Refused>> {
        let command = tallies.execute(self.id, &self.command).metadata(Metadata::new().correlation_id(&self.name));
        match &self.key {
            Some(key) => command.idempotency_key(key.clone()).await,
            None => command.await,
        }
    }

    /// Sends it again while others, or a database that is away, leave it without an answer.
    ///
    /// Without a key only where nothing was written: what else remains open is returned as it is.
    ///
    /// # Panics
    ///
    /// Where there is no answer in [`LONGEST_WAIT`].
    pub async fn run_until_answered(&self, tallies: &Repository<Tally>) -> Result<Executed, ExecuteError<Refused>> {
        let begun = Instant::now();
        loop {
            let answer = self.run(tallies).await;
            let Err(ExecuteError::Store(error)) = &answer else { return answer };
            let can_repeat = error.is_retryable() || error.is_outcome_unknown() && self.key.is_some();
            if !can_repeat {
                return answer;
            }
            assert!(begun.elapsed() < LONGEST_WAIT, "{} has no answer in {LONGEST_WAIT:?}: {error:?}", self.name);
            // Some ends come at once: others have to get on meanwhile.
            tokio::task::yield_now().await;
        }
    }
}

/// An answer on one line, without whether it was given before; `Err` where there was none.
pub fn answer_line(answer: &Result<Executed, ExecuteError<Refused>>) -> Result<String, String> {
    match answer {
        Ok(done) => {
            let position = done.position.map_or(0, annals::Position::get);
            Ok(format!("accepted {} {} {position}", done.first_sequence, done.version))
        }
        Err(ExecuteError::Rejected { rejection, .. }) => Ok(format!("rejected {}", rejection.sum)),
        Err(error) => Err(error.to_string()),
    }
}

/// Whether an answer was given before.
pub const fn is_replayed(answer: &Result<Executed, ExecuteError<Refused>>) -> bool {
    match answer {
        Ok(done) => done.replayed,
        Err(ExecuteError::Rejected { replayed, .. }) => *replayed,
        Err(_) => false,
    }
}
