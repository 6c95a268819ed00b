//! Checkpoints and leases: how far a consumer has come, and who runs it.

use std::{fmt, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{Cursor, Error, Position, RecordedEvent};

/// Names a consumer of the log, or one part of it: a subscription or a projection.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Consumer {
    name: Arc<str>,
    partition: u32,
    of: u32,
}

impl Consumer {
    /// The longest name, in bytes.
    pub const LONGEST_NAME: usize = 200;

    /// The most partitions of one name.
    pub const MOST_PARTITIONS: u32 = 1024;

    /// What a projection's name is followed by while it is built anew. Names have no blanks, so it is nobody's name.
    const REBUILD: &'static str = " (rebuild)";

    /// Names a consumer: 1 to 200 visible ASCII characters.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`]: choose another name.
    pub fn new(name: &str) -> Result<Self, Error> {
        if name.is_empty() || name.len() > Self::LONGEST_NAME || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Error::invalid(format!(
                "a consumer is named by 1 to {} visible ASCII characters without blanks, not by {name:?}",
                Self::LONGEST_NAME
            )));
        }
        Ok(Self { name: name.into(), partition: 0, of: 1 })
    }

    /// Names one of so many parts, counted from 0.
    ///
    /// Each aggregate belongs to one of them.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`]: `partition` is to be less than `of`, and `of` from 1 to 1,024.
    pub fn partition_of(mut self, partition: u32, of: u32) -> Result<Self, Error> {
        if partition >= of || of > Self::MOST_PARTITIONS {
            return Err(Error::invalid(format!(
                "partition {partition} of {of}: partitions are counted from 0, and are {} at the most",
                Self::MOST_PARTITIONS
            )));
        }
        (self.partition, self.of) = (partition, of);
        Ok(self)
    }

    /// Takes a name and a part as they were stored.
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    pub(crate) fn stored(name: &str, partition: u32, of: u32) -> Self {
        Self { name: name.into(), partition, of }
    }

    /// The same projection, while it is built anew.
    #[must_use]
    pub fn rebuild(&self) -> Self {
        Self { name: format!("{}{}", self.name, Self::REBUILD).into(), ..self.clone() }
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Which part, from 0.
    #[must_use]
    pub const fn partition(&self) -> u32 {
        self.partition
    }

    /// Of how many parts.
    #[must_use]
    pub const fn of(&self) -> u32 {
        self.of
    }

    /// Tells whether an aggregate belongs to this part.
    #[must_use]
    pub fn has(&self, aggregate_id: Uuid) -> bool {
        // Hashed, since ids that were made elsewhere can end alike.
        self.of == 1
            || xxhash_rust::xxh3::xxh3_64(aggregate_id.as_bytes()) % u64::from(self.of) == u64::from(self.partition)
    }
}

impl fmt::Display for Consumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.of {
            1 => f.write_str(&self.name),
            of => write!(f, "{} ({} of {of})", self.name, self.partition),
        }
    }
}

/// Says what kind of consumer a name belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConsumerKind {
    /// Calls a handler for each event.
    Subscription,
    /// Keeps rows that move together with the checkpoint.
    Projection,
}

impl ConsumerKind {
    /// The word that is stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Subscription => "subscription",
            Self::Projection => "projection",
        }
    }
}

impl fmt::Display for ConsumerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Holds how far a consumer has come, and who runs it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Checkpoint {
    /// Whose it is.
    pub consumer: Consumer,
    /// What kind of consumer.
    pub kind: ConsumerKind,
    /// Every event up to here was handled, parked, or passed over by the selection.
    pub cursor: Cursor,
    /// Rises whenever a runner takes over.
    ///
    /// Of two that believe to be the runner, the late one moves nothing. Also where a name is forgotten and used anew: the
    /// first fence of a name is the time.
    pub fence: u64,
    /// Who has the lease, whether or not it has lapsed.
    pub lease: Option<LeaseHolder>,
    /// When the position was last moved.
    pub updated_at: DateTime<Utc>,
    /// Which of a projection's builds its views show; 0: none yet.
    pub build: u32,
    /// The version of the projection that was built; 0 for a subscription.
    pub version: u32,
    /// How many runners in a row have ended here without letting go of the lease.
    pub crashes: u32,
    /// What went wrong last, since the position was last moved.
    pub failure: Option<Failure>,
    /// Since when nobody may run it.
    pub paused_at: Option<DateTime<Utc>>,
}

/// Says who has a lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseHolder {
    /// The runner, as it names itself.
    pub owner: String,
    /// When the lease lapses, unless it is renewed.
    pub expires_at: DateTime<Utc>,
    /// When the runner last gave a sign of life.
    pub renewed_at: DateTime<Utc>,
}

/// Says what went wrong, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What the handler or the database said, cut to 2,000 bytes.
    pub message: String,
    /// When.
    pub at: DateTime<Utc>,
}

/// Asks for a lease.
#[derive(Debug, Clone)]
pub struct Claim {
    /// For which consumer.
    pub consumer: Consumer,
    /// What kind it has to be.
    pub kind: ConsumerKind,
    /// The version it has to be, where there is a checkpoint; 0 for a subscription.
    ///
    /// Where nothing was built yet a lesser one may be there, and becomes this one.
    pub version: u32,
    /// Where it begins, where there is no checkpoint yet.
    ///
    /// `None`: then it is not begun, and the claim ends in [`Error::Contention`].
    pub start: Option<Cursor>,
    /// Who asks, in 1 to 255 bytes. Whoever has the lease gets it again.
    pub owner: Arc<str>,
    /// How long the lease is to last.
    pub length: Duration,
    /// Takes the lease from whoever has it.
    pub by_force: bool,
}

/// Answers a [`Claim`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claimed {
    /// The lease was taken, with a new fence. A checkpoint that was not there is now.
    Taken(Checkpoint),
    /// It was not: somebody else has it, the consumer is paused, or it is another than was asked for.
    Refused(Checkpoint),
}

/// Proves who runs a consumer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The consumer.
    pub consumer: Consumer,
    /// Its fence since the lease was taken.
    pub fence: u64,
    /// How long it lasts from each sign of life on.
    pub length: Duration,
}

/// Says what became of renewing a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renewal {
    /// It lasts for its whole length again.
    Renewed,
    /// A batch under way holds the checkpoint, and renews the lease itself.
    Busy,
    /// Somebody else has taken it, or the consumer was paused or forgotten.
    Lost,
}

/// Moves a checkpoint.
///
/// The lease is renewed with it.
#[derive(Debug, Clone)]
pub struct Step<'s> {
    /// Where the checkpoint stands, as the runner knows.
    pub from: Position,
    /// Where it is to stand.
    pub to: Cursor,
    /// What is parked on the way, in the order of positions; in the same commit.
    pub parked: &'s [NewParkedEvent],
}

/// Parks an event: it is set aside and not handled.
#[derive(Debug, Clone)]
pub struct NewParkedEvent {
    /// Where it stands in the log.
    pub position: Position,
    /// The aggregate.
    pub aggregate_id: Uuid,
    /// The place within it.
    pub sequence: u64,
    /// What was wrong with it. `None`: an earlier event of its aggregate is parked.
    pub error: Option<String>,
    /// How often it was tried.
    pub attempts: u32,
}

impl NewParkedEvent {
    /// Parks an event since an earlier one of its aggregate is parked.
    #[must_use]
    pub fn behind_another(event: &RecordedEvent) -> Self {
        Self {
            position: event.position(),
            aggregate_id: event.aggregate_id(),
            sequence: event.sequence(),
            error: None,
            attempts: 0,
        }
    }
}

/// Holds an event that was set aside.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ParkedEvent {
    /// The consumer's name.
    pub name: String,
    /// Where it stands in the log.
    pub position: Position,
    /// The aggregate.
    pub aggregate_id: Uuid,
    /// The place within it.
    pub sequence: u64,
    /// What was wrong with it, cut to 2,000 bytes.
    ///
    /// `None`: an earlier event of its aggregate is parked.
    pub error: Option<String>,
    /// How often it was tried.
    pub attempts: u32,
    /// When it was parked.
    pub parked_at: DateTime<Utc>,
    /// When somebody last asked for it to be told again.
    ///
    /// `None`: nobody has, or what came of it is known.
    pub replay_requested_at: Option<DateTime<Utc>>,
}

/// Chooses parked events of a consumer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ParkedChoice {
    /// All of them.
    All,
    /// Those of one aggregate.
    Aggregate(Uuid),
    /// One of them.
    Event {
        /// The aggregate.
        aggregate_id: Uuid,
        /// The place within it.
        sequence: u64,
    },
}

/// Asks for parked events, in the order of their positions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParkedQuery {
    /// The consumer's name: events of all its partitions.
    pub name: String,
    /// Of this aggregate only.
    pub aggregate_id: Option<Uuid>,
    /// After this position.
    pub after: Position,
    /// The most events.
    pub limit: u32,
}

impl ParkedChoice {
    /// Of which aggregate, `None` for all, and up to which sequence: what comes before one event comes with it.
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    pub(crate) const fn bounds(self) -> (Option<Uuid>, u64) {
        match self {
            Self::All => (None, u64::MAX),
            Self::Aggregate(aggregate_id) => (Some(aggregate_id), u64::MAX),
            Self::Event { aggregate_id, sequence } => (Some(aggregate_id), sequence),
        }
    }
}

/// Makes sure that these are checkpoints of what can be moved to another place.
pub(crate) fn check_moves(partitions: &[Checkpoint]) -> Result<(), Error> {
    match partitions.iter().find(|checkpoint| checkpoint.kind != ConsumerKind::Subscription) {
        None => Ok(()),
        Some(other) => Err(Error::invalid(format!(
            "{} is a projection: its rows are made of the events before its position, so it is rebuilt, not moved",
            other.consumer.name()
        ))),
    }
}
