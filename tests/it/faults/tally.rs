//! A small aggregate whose answers tell when they were decided.

use annals::{Aggregate, ExecuteError, Executed, Id, IdempotencyKey, Repository};
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

/// One request of a campaign: everything follows from its key, so that another process can repeat it.
#[derive(Debug, Clone)]
pub struct Request {
    pub key: IdempotencyKey,
    pub id: Id<Tally>,
    pub command: TallyCommand,
}

impl Request {
    pub fn of(key: &str) -> Self {
        let seed = key.bytes().fold(17_u64, |hash, byte| hash.wrapping_mul(0x0100_0000_01b3) ^ u64::from(byte));
        let mut random = fastrand::Rng::with_seed(seed);
        let id = Id::natural(&format!("tally {}", random.u8(..5)));
        let command = match random.u8(..10) {
            0 => TallyCommand::Nothing,
            1 | 2 => TallyCommand::Refuse,
            _ => TallyCommand::Add { events: random.u8(1..=5) },
        };
        Self { key: IdempotencyKey::new(key).unwrap(), id, command }
    }

    pub fn events(&self) -> usize {
        if let TallyCommand::Add { events } = self.command { usize::from(events) } else { 0 }
    }

    pub async fn run(&self, tallies: &Repository<Tally>) -> Result<Executed, ExecuteError<Refused>> {
        tallies.execute(self.id, &self.command).idempotency_key(self.key.clone()).await
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
