//! How far consumers have come.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::store::{Checkpoint, CheckpointStore, Consumer, ConsumerKind, Cursor, Error, Failure, LogQuery, Position};

/// Tells how far a consumer has come, and who runs it: as of one look.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Whose it is.
    pub consumer: Consumer,
    /// What kind of consumer.
    pub kind: ConsumerKind,
    /// Every event up to here was handled, parked, or passed over by the selection.
    pub position: Position,
    /// When the event at that position was recorded. `None` before the first.
    pub recorded_at: Option<DateTime<Utc>>,
    /// When the position was last moved.
    pub moved_at: DateTime<Utc>,
    /// Events of the log behind that position: counted up to a million.
    ///
    /// Chosen or not, of all partitions: what a selection leaves out is passed over a second later at the latest.
    pub lag_events: u64,
    /// How long ago the first of them was recorded; zero where there is none.
    pub lag: Duration,
    /// Events that were set aside, of all partitions.
    pub parked: u64,
    /// Who runs it.
    pub state: RunState,
    /// The last sign of life of a runner.
    pub alive_at: Option<DateTime<Utc>>,
    /// How many runners in a row have died at this position.
    pub crashes: u32,
    /// What went wrong last, since the position was last moved.
    pub failure: Option<Failure>,
    /// Which of a projection's builds its views show; 0: none yet, or a subscription.
    pub build: u32,
    /// Of which version of the projection that build is; 0 for a subscription.
    pub version: u32,
}

/// Says who runs a consumer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RunState {
    /// Somebody does.
    Running {
        /// The runner, as it names itself.
        owner: String,
    },
    /// Whoever did has been silent for longer than its lease.
    ///
    /// Nobody has taken over.
    Dead {
        /// The runner, as it named itself.
        owner: String,
        /// When its lease lapsed.
        since: DateTime<Utc>,
    },
    /// Nobody does; the last runner has let go.
    Stopped,
    /// Nobody may.
    Paused {
        /// Since when.
        since: DateTime<Utc>,
    },
}

impl Progress {
    /// Nothing is behind, and nothing is parked.
    #[must_use]
    pub const fn is_caught_up(&self) -> bool {
        self.lag_events == 0 && self.parked == 0
    }
}

/// Looks at one consumer; `None` where it never ran.
pub(super) async fn of<S: CheckpointStore>(store: &S, consumer: &Consumer) -> Result<Option<Progress>, Error> {
    match store.checkpoint(consumer).await? {
        Some(checkpoint) => of_checkpoint(store, checkpoint).await.map(Some),
        None => Ok(None),
    }
}

pub(super) async fn of_checkpoint<S: CheckpointStore>(store: &S, checkpoint: Checkpoint) -> Result<Progress, Error> {
    let now = store.now();
    let lag_events = store.count_after(checkpoint.cursor.position).await?;
    let lag = if lag_events == 0 { Duration::ZERO } else { oldest(store, checkpoint.cursor, now).await? };
    let parked = store.count_parked(checkpoint.consumer.name()).await?;
    let alive_at = checkpoint.lease.as_ref().map(|lease| lease.renewed_at);
    let state = match (checkpoint.paused_at, checkpoint.lease) {
        (Some(since), _) => RunState::Paused { since },
        (None, None) => RunState::Stopped,
        (None, Some(lease)) if lease.expires_at > now => RunState::Running { owner: lease.owner },
        (None, Some(lease)) => RunState::Dead { owner: lease.owner, since: lease.expires_at },
    };
    Ok(Progress {
        consumer: checkpoint.consumer,
        kind: checkpoint.kind,
        position: checkpoint.cursor.position,
        recorded_at: checkpoint.cursor.event.map(|event| event.recorded_at),
        moved_at: checkpoint.updated_at,
        lag_events,
        lag,
        parked,
        state,
        alive_at,
        crashes: checkpoint.crashes,
        failure: checkpoint.failure,
        build: checkpoint.build,
        version: checkpoint.version,
    })
}

/// How long the first event behind a cursor has waited.
async fn oldest<S: CheckpointStore>(store: &S, cursor: Cursor, now: DateTime<Utc>) -> Result<Duration, Error> {
    let mut recorded_at = now;
    let next = LogQuery::all().after(cursor.position).limit(1);
    store
        .read_log(&next, &mut |event| {
            recorded_at = event.recorded_at;
            Ok(())
        })
        .await?;
    // Clocks differ, and can go back.
    Ok((now - recorded_at).to_std().unwrap_or_default())
}
