//! One statement at a time on a connection of the store's own, run again where others came first.

use std::time::Duration;

use sqlx::PgConnection;

use super::{
    backend::PostgresBackend,
    classify::{classify, classify_commit, is_lost_race},
    pool::Taken,
    response::{Met, Now},
};
use crate::store::Error;

/// How often a statement is run that the server takes back because of others.
const RUNS: u32 = 8;

/// A connection for one statement, which is its own commit.
pub(super) struct Turn {
    taken: Option<Taken>,
    now: Now,
    runs: u32,
    classify: fn(sqlx::Error) -> Error,
}

impl PostgresBackend {
    /// For a statement that takes a claim. It may wait for another's transaction, and must hold up nobody else's lease.
    pub(super) async fn to_claim(&self) -> Result<Turn, Error> {
        Ok(Turn::new(self.claimers.acquire().await?, self.given_time(), classify_commit))
    }

    /// For a statement that writes to what is the caller's already.
    pub(super) async fn to_keep(&self) -> Result<Turn, Error> {
        Ok(Turn::new(self.keepers.acquire().await?, self.given_time(), classify_commit))
    }

    /// For a statement that writes nothing.
    pub(super) async fn to_look(&self) -> Result<Turn, Error> {
        Ok(Turn::new(self.readers.acquire().await?, self.given_time(), classify))
    }
}

impl Turn {
    const fn new(taken: Taken, now: Now, classify: fn(sqlx::Error) -> Error) -> Self {
        Self { taken: Some(taken), now, runs: 0, classify }
    }

    /// The connection, and the time where it is not the server's.
    pub(super) fn take(&mut self) -> Option<(&mut PgConnection, Now)> {
        self.runs += 1;
        self.taken.as_mut().map(|taken| (taken.connection(), self.now))
    }

    /// Gives the connection back and says what became of it; `None`: the statement is to be run again.
    pub(super) async fn settle<T>(&mut self, done: Result<T, Met>) -> Option<Result<T, Error>> {
        let done = match done {
            Err(Met::Driver(error)) if self.runs < RUNS && is_lost_race(&error) => {
                // So that those who met do not meet again at once.
                tokio::time::sleep(Duration::from_micros(fastrand::u64(0..500 << self.runs))).await;
                return None;
            }
            done => done.map_err(|met| met.told(self.classify)),
        };
        let taken = self.taken.take()?;
        if matches!(done, Err(Error::OutcomeUnknown { .. } | Error::Unavailable { .. })) {
            taken.give_up();
            return Some(done);
        }
        Some(taken.settle(done))
    }
}

/// Runs a statement in a [`Turn`].
macro_rules! in_turn {
    ($turn:expr, $connection:ident, $now:pat => $statement:expr) => {
        async {
            let mut turn = $turn.await?;
            while let Some(($connection, $now)) = turn.take() {
                let done = $statement.await;
                if let Some(settled) = turn.settle(done).await {
                    return settled;
                }
            }
            Err($crate::store::Error::Contention { source: None })
        }
    };
}
pub(super) use in_turn;
