//! The append: what holds is written with one statement, and what did not make it is looked at before it is answered.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, postgres::PgRow};
use uuid::Uuid;

use super::{
    batch::{self, Group, members},
    classify::{classify, classify_commit, is_lost_race, is_stuck, is_unstorable},
    plain::Caution,
    row::{self, named},
    statement::{DELETE_RECEIPT, READ_ATTEMPT, READ_STANDING},
};
use crate::store::{Append, Appended, Error, Head, Receipt, Request, from_column, to_column};

/// How often a whole batch is run again because others came first; then append by append.
const BATCH_RERUNS: u32 = 3;

/// Says what to do where a statement is taken back.
#[derive(Debug, Clone, Copy)]
pub(super) enum Patience<'a> {
    /// Run it again, for so long at the most: each statement is a transaction of its own.
    Until(Instant, &'a Caution),
    /// Give up: the transaction around it is lost.
    None,
}

/// Writes a batch. An answer for each append, in their order.
///
/// An error means that the transaction around it has to be given up; where there is none, that nothing was sent.
pub(super) async fn write(
    connection: &mut PgConnection,
    batch: &[Append],
    now: DateTime<Utc>,
    patience: Patience<'_>,
) -> Result<Vec<Result<Appended, Error>>, Error> {
    let requests: Vec<_> = batch.iter().map(Request::new).collect::<Result<_, _>>()?;
    let mut settling = Settling {
        requests: &requests,
        now,
        answers: batch.iter().map(|_| None).collect(),
        patience,
        reruns: 0,
        together: Together::All,
    };
    settling.run(connection).await?;
    let unanswered = || Err(Error::OutcomeUnknown { source: None });
    Ok(settling.answers.into_iter().map(|answer| answer.unwrap_or_else(unanswered)).collect())
}

/// What becomes of a batch, statement by statement.
struct Settling<'a> {
    requests: &'a [Request<'a>],
    now: DateTime<Utc>,
    answers: Vec<Option<Result<Appended, Error>>>,
    patience: Patience<'a>,
    reruns: u32,
    together: Together,
}

/// What goes with one statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Together {
    All,
    /// One aggregate's: after others were in the way, so that one that is stuck does not hold up its neighbours.
    Group,
    /// One append: after one among them could not be stored.
    Append,
}

impl<'a> Settling<'a> {
    fn open(&self) -> Vec<usize> {
        self.answers.iter().enumerate().filter(|(_, answer)| answer.is_none()).map(|(at, _)| at).collect()
    }

    /// Who was taken back once may meet the same others again. A transaction of the caller's is never put at stake.
    fn caution(&self) -> Option<&'a Caution> {
        match self.patience {
            Patience::Until(_, caution) if self.reruns == 0 => Some(caution),
            Patience::Until(..) | Patience::None => None,
        }
    }

    fn answer_all(&mut self, places: &[usize], error: &Error) {
        for at in places {
            self.answers[*at] = Some(Err(error.clone()));
        }
    }

    async fn run(&mut self, connection: &mut PgConnection) -> Result<(), Error> {
        loop {
            let open = self.open();
            let mut groups = batch::groups(self.requests, &open);
            if self.together != Together::All {
                groups.truncate(1);
            }
            if let (Together::Append, Some(group)) = (self.together, groups.first_mut()) {
                group.members.truncate(1);
            }
            if groups.is_empty() {
                return Ok(());
            }
            if matches!(self.patience, Patience::Until(deadline, _) if Instant::now() >= deadline) {
                self.answer_all(&open, &Error::Contention { source: None });
                return Ok(());
            }
            match batch::write(connection, (self.requests, self.now), &groups, self.caution()).await {
                Ok(written) => {
                    for (at, appended) in written {
                        self.answers[at] = Some(Ok(appended));
                    }
                    let looked_at = if self.together == Together::All { open } else { members(&groups) };
                    self.look(connection, looked_at).await?;
                }
                Err(error) => self.failed(&groups, error).await?,
            }
        }
    }

    /// Goes on after a statement that wrote nothing, or of which that is not known.
    async fn failed(&mut self, groups: &[Group], error: sqlx::Error) -> Result<(), Error> {
        let members = members(groups);
        if matches!(self.patience, Patience::None) {
            return Err(classify(error));
        }
        if is_lost_race(&error) {
            if let Patience::Until(_, caution) = self.patience {
                caution.raise();
            }
            self.reruns += 1;
            if self.reruns > BATCH_RERUNS {
                self.together = self.together.max(Together::Group);
            }
            // So that those who met do not meet again at once.
            tokio::time::sleep(Duration::from_micros(fastrand::u64(0..500 << self.reruns.min(6)))).await;
        } else if is_stuck(&error) && groups.len() > 1 {
            self.together = Together::Group;
        } else if is_unstorable(&error) && members.len() > 1 {
            self.together = Together::Append;
        } else {
            let error = classify_commit(error);
            self.answer_all(&members, &error);
            if error.is_outcome_unknown() {
                // The connection is gone; what was not sent cannot have been written.
                self.answer_all(&self.open(), &Error::unavailable(error));
            }
        }
        Ok(())
    }

    /// Looks at where appends stand that were not written, in a snapshot that is newer than the statement's.
    ///
    /// What lost a race is not answered from the statement's own: the winner may have been an earlier attempt of the very
    /// same request.
    async fn look(&mut self, connection: &mut PgConnection, places: Vec<usize>) -> Result<(), Error> {
        let places: Vec<_> = places.into_iter().filter(|at| self.answers[*at].is_none()).collect();
        if places.is_empty() {
            return Ok(());
        }
        match self.answer_from_standings(connection, &places).await {
            Err(error) if self.goes_on_after(&error) => self.answer_all(&places, &error),
            Err(error) if matches!(self.patience, Patience::None) => return Err(error),
            // The connection is gone, and what is open was not written.
            Err(error) => self.answer_all(&self.open(), &error),
            Ok(()) => {}
        }
        Ok(())
    }

    /// Tells an error that belongs to one append from one that ends all: in a transaction of its own any does.
    const fn goes_on_after(&self, error: &Error) -> bool {
        matches!(self.patience, Patience::Until(..)) && !matches!(error, Error::Unavailable { .. })
    }

    async fn answer_from_standings(&mut self, connection: &mut PgConnection, places: &[usize]) -> Result<(), Error> {
        let mut waiting = HashSet::new();
        for (at, standing) in standings(connection, self.requests, places, self.now).await? {
            let is_behind = waiting.contains(&self.requests[at].append.aggregate_id);
            let answer = match standing {
                Ok(standing) => self.answer(connection, at, standing, is_behind).await,
                Err(damaged) => Err(damaged),
            };
            self.answers[at] = match answer {
                Ok(answer) => answer,
                Err(error) if self.goes_on_after(&error) => Some(Err(error)),
                Err(error) => return Err(error),
            };
            if self.answers[at].is_none() {
                waiting.insert(self.requests[at].append.aggregate_id);
            }
        }
        Ok(())
    }

    /// Answers an append that was not written; `None` where it goes with the next statement.
    async fn answer(
        &self,
        connection: &mut PgConnection,
        at: usize,
        standing: Standing,
        is_behind_another: bool,
    ) -> Result<Option<Result<Appended, Error>>, Error> {
        let request = &self.requests[at];
        let append = request.append;
        if let (Some(receipt), Some(new)) = (standing.receipt, &request.receipt) {
            return Ok(Some(Appended::replay(receipt, &new.fingerprint, append.aggregate())));
        }
        if standing.earlier_command_id == Some(append.command_id) && !append.events.is_empty() {
            return compare_attempt(connection, request).await.map(Some);
        }
        // Behind one that still has its turn to come it is looked at again.
        if let Some(refusal) = standing.head.refusal(append).filter(|_| !is_behind_another) {
            return Ok(Some(Err(refusal)));
        }
        if standing.has_expired {
            delete_expired(connection, request, self.now).await?;
        }
        Ok(None)
    }
}

/// Where an append stands in the database.
struct Standing {
    head: Head,
    /// The command id of the event where an earlier attempt would have begun.
    earlier_command_id: Option<Uuid>,
    /// The receipt under its key, unless it has expired.
    receipt: Option<Receipt>,
    has_expired: bool,
}

impl Standing {
    fn of(row: &PgRow) -> Result<Self, Error> {
        let head = Head {
            version: from_column(named::<Option<i64>>(row, "version")?.unwrap_or(0))?,
            aggregate_type: named(row, "aggregate_type")?,
            command_id: named(row, "head_command_id")?,
        };
        let has_expired = named(row, "has_expired")?;
        let receipt = if has_expired { None } else { row::receipt(row)? };
        Ok(Self { head, earlier_command_id: named(row, "earlier_command_id")?, receipt, has_expired })
    }
}

async fn standings(
    connection: &mut PgConnection,
    requests: &[Request<'_>],
    places: &[usize],
    now: DateTime<Utc>,
) -> Result<Vec<(usize, Result<Standing, Error>)>, Error> {
    let asked = || places.iter().map(|at| &requests[*at]);
    let keys: Vec<_> = asked().map(|request| request.receipt.as_ref().map(|receipt| receipt.key.as_str())).collect();
    let rows = sqlx::query(READ_STANDING)
        .bind(asked().map(|request| request.append.aggregate_id).collect::<Vec<_>>())
        .bind(keys)
        .bind(asked().map(|request| request.begins_at().map(to_column)).collect::<Vec<_>>())
        .bind(now)
        .fetch_all(connection)
        .await
        .map_err(classify)?;
    let standing = |row: &PgRow| {
        let number = usize::try_from(named::<i64>(row, "number")? - 1);
        let at = number.ok().and_then(|number| places.get(number));
        Ok((*at.ok_or_else(|| Error::corrupt("an append's standing was not asked for"))?, Standing::of(row)))
    };
    let mut standings = rows.iter().map(standing).collect::<Result<Vec<_>, Error>>()?;
    standings.sort_unstable_by_key(|(at, _)| *at);
    Ok(standings)
}

/// Compares an append with what its command id has written: the same events, or another request.
async fn compare_attempt(
    connection: &mut PgConnection,
    request: &Request<'_>,
) -> Result<Result<Appended, Error>, Error> {
    let rows = sqlx::query(READ_ATTEMPT)
        .bind(request.append.aggregate_id)
        .bind(request.begins_at().map(to_column))
        .bind(to_column(request.ends_before()))
        .fetch_all(connection)
        .await
        .map_err(classify)?;
    let stored: Vec<_> = rows.iter().map(row::event).collect::<Result<_, _>>()?;
    Ok(request.answer_by_attempt(&stored))
}

async fn delete_expired(connection: &mut PgConnection, request: &Request<'_>, now: DateTime<Utc>) -> Result<(), Error> {
    let Some(receipt) = &request.receipt else {
        return Ok(());
    };
    sqlx::query(DELETE_RECEIPT)
        .bind(request.append.aggregate_id)
        .bind(receipt.key.as_str())
        .bind(now)
        .execute(connection)
        .await
        .map_err(classify)?;
    Ok(())
}
