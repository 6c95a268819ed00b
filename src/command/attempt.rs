//! One attempt of a command: load, decide, append.

use std::sync::Arc;

use uuid::Uuid;

use super::{
    Execute, ExecuteError, Executed, Loaded, Repository,
    cache::{Cache, Lane},
    repository::Fold,
    retry::Attempts,
    send::send_command,
};
use crate::{
    domain::{Aggregate, decode_event},
    store::{
        AggregateName, Append, Appended, Error, EventStore, ExpectedVersion, Fingerprint, IdempotencyKey, KeyRequest,
        NewEvent, Receipt, ReceiptOutcome, StreamQuery, StreamRead, Work, telemetry,
    },
};

/// How a command ends.
pub(super) type Ended<A> = Result<Executed, ExecuteError<<A as Aggregate>::Rejection>>;

/// What the attempts of one command have in common.
pub(super) struct Attempt<'e, 'a, A: Aggregate> {
    execute: &'e Execute<'a, A>,
    keyed: Option<Keyed>,
    command_id: Uuid,
}

/// The key of a command and the request it stands for.
struct Keyed {
    key: IdempotencyKey,
    fingerprint: Fingerprint,
}

/// What an attempt comes to before anything is written.
pub(super) enum Decision<A: Aggregate> {
    Ended(Ended<A>),
    Append(Box<Append>, Vec<A::Event>),
}

impl<'e, 'a, A: Aggregate> Attempt<'e, 'a, A> {
    pub(super) fn new(execute: &'e Execute<'a, A>) -> Result<Self, Error> {
        let keyed = match (&execute.key, &execute.fingerprint) {
            (None, _) => None,
            (Some(key), Some(fingerprint)) => Some(Keyed { key: key.clone(), fingerprint: fingerprint.clone()? }),
            (Some(key), None) => Some(Keyed { key: key.clone(), fingerprint: Fingerprint::of(execute.command)? }),
        };
        let command_id = match &keyed {
            // Under a key, a command has the same id in every process that attempts it: should its receipt expire
            // before the last of them arrives, that one still finds its events.
            Some(keyed) if execute.repository.cache.is_none() => keyed.key.command_id(execute.id.uuid()),
            // Not in the cache, where others decide on top of this very attempt: another process may carry out the same
            // request with other events, and those must not look like the ones they followed.
            _ => Uuid::now_v7(),
        };
        telemetry::command_decided_as(command_id);
        Ok(Self { execute, keyed, command_id })
    }

    /// Makes the next attempt a new decision, with an id of its own.
    ///
    /// The last one is dead, but in the cache others may have decided on top of it: see [`new`](Self::new).
    pub(super) fn decide_anew(&mut self) {
        if self.execute.repository.cache.is_some() {
            self.command_id = Uuid::now_v7();
            telemetry::command_decided_as(self.command_id);
        }
    }

    /// Attempts the command once, on what the database has.
    pub(super) async fn make(&self, attempts: &mut Attempts) -> Ended<A> {
        let (loaded, read) = self.read(None).await?;
        match self.decide_read(&loaded, read.receipt).await? {
            Decision::Ended(ended) => ended,
            Decision::Append(append, _) => {
                let sent = send_command(self.store(), *append, attempts).await;
                answer::<A>(&sent.map_err(|error| self.as_pinned(error))?)
            }
        }
    }

    /// Attempts the command once, inside an open transaction.
    pub(super) async fn within<W: Work>(&self, work: &mut W) -> Ended<A> {
        let mut fold = Fold::new(&self.execute.repository.upcasters, None);
        let read = work.read_stream(&self.query(0), &mut |stored| fold.step(stored).map(drop)).await?;
        match self.decide(&fold.loaded, read.receipt)? {
            Decision::Ended(ended) => ended,
            Decision::Append(append, _) => answer::<A>(&work.append(&append).await?),
        }
    }

    /// Reads what a decision needs: the receipt, and the stream from a state on that is already known.
    pub(super) async fn read(&self, known: Option<Loaded<A>>) -> Result<(Loaded<A>, StreamRead), Error> {
        let Some(from) = known.as_ref().map(|known| known.version) else {
            return self.read_all().await;
        };
        let (loaded, read) = self.execute.repository.fold(known, &self.query(from)).await?;
        if read.version < from {
            // The database was set back behind our back: what was known is of another history.
            return self.read_all().await;
        }
        Ok((loaded, read))
    }

    async fn read_all(&self) -> Result<(Loaded<A>, StreamRead), Error> {
        let receipt_of = self.keyed.as_ref().map(|keyed| keyed.key.clone());
        self.execute.repository.load_answered(self.execute.id, receipt_of).await
    }

    /// Decides on what was read outside a transaction: the receipt first, the stream after it.
    ///
    /// Between the two another attempt of this very request can have been carried out. It is then the reason why a pinned
    /// version no longer holds, and its receipt the answer.
    pub(super) async fn decide_read(&self, loaded: &Loaded<A>, receipt: Option<Receipt>) -> Result<Decision<A>, Error> {
        let decided = self.decide(loaded, receipt);
        if let (Err(Error::Conflict { .. }), Some(keyed)) = (&decided, &self.keyed)
            && let Some(receipt) = self.store().receipt(self.execute.id.uuid(), &keyed.key).await?
        {
            return self.decide(loaded, Some(receipt));
        }
        decided
    }

    /// Decides on what was read. In this order: the receipt, the pinned version, the decision.
    pub(super) fn decide(&self, loaded: &Loaded<A>, receipt: Option<Receipt>) -> Result<Decision<A>, Error> {
        let (version, expected) = (loaded.version, self.execute.expected);
        if let (Some(receipt), Some(keyed)) = (receipt, &self.keyed) {
            let first = Appended::replay(receipt, &keyed.fingerprint, self.aggregate())?;
            return Ok(Decision::Ended(answer::<A>(&first)));
        }
        if !expected.holds_at(version) {
            return Err(Error::Conflict { aggregate: self.aggregate(), expected, actual: version });
        }
        Ok(match (loaded.state.decide(self.execute.command), &self.keyed) {
            (Ok(events), None) if events.is_empty() => Decision::Ended(Ok(Executed::nothing_at(version))),
            (Err(rejection), keyed) if keyed.is_none() || !self.execute.records_rejections => {
                Decision::Ended(Err(ExecuteError::Rejected { rejection, replayed: false }))
            }
            (Ok(events), _) => {
                Decision::Append(Box::new(self.append_at(version).events(self.encode(&events)?)), events)
            }
            (Err(rejection), _) => {
                let unfit = |source| Error::codec(format!("a rejection of {} cannot be written", A::TYPE), source);
                let rejection = serde_json::to_string(&rejection).map_err(unfit)?;
                Decision::Append(Box::new(self.append_at(version).rejected(rejection.into())), Vec::new())
            }
        })
    }

    /// Encodes events, and makes sure that they can be read back: once they are written, they are there for ever.
    ///
    /// JSON takes things that do not come back: a float that is no number is written as `null`.
    fn encode(&self, events: &[A::Event]) -> Result<Vec<NewEvent>, Error> {
        let upcasters = &self.execute.repository.upcasters;
        let mut encoded = Vec::with_capacity(events.len());
        for event in events {
            let event = NewEvent::encode(event, upcasters).map_err(|error| match error {
                Error::Codec { source, .. } => {
                    Error::Codec { context: format!("an event of {} cannot be written", A::TYPE), source }
                }
                other => other,
            })?;
            decode_event::<A::Event>(upcasters, event.event_type(), event.schema_version(), event.payload())
                .map_err(|source| Error::codec(format!("an event of {} could not be read back", A::TYPE), source))?;
            encoded.push(event);
        }
        Ok(encoded)
    }

    /// The stream after a version, or the receipt of an earlier attempt.
    fn query(&self, after: u64) -> StreamQuery {
        let receipt_of = self.keyed.as_ref().map(|keyed| keyed.key.clone());
        StreamQuery { receipt_of, ..StreamQuery::of(self.execute.id).from_sequence(after + 1) }
    }

    fn append_at(&self, version: u64) -> Append {
        let mut append = Append::to(self.execute.id)
            .expected(ExpectedVersion::Exact(version))
            .metadata(self.execute.metadata.clone());
        append.key = self.keyed.as_ref().map(|keyed| KeyRequest {
            key: keyed.key.clone(),
            fingerprint: Some(keyed.fingerprint),
            keep_for: self.execute.keep_receipt_for,
        });
        append.command_id(self.command_id)
    }

    /// A conflict speaks of the version decided at; one that is returned speaks of what the caller pinned.
    pub(super) fn as_pinned(&self, error: Error) -> Error {
        let expected = self.execute.expected;
        match error {
            Error::Conflict { aggregate, actual, .. } if !expected.holds_at(actual) => {
                Error::Conflict { aggregate, expected, actual }
            }
            other => other,
        }
    }

    pub(super) const fn command_id(&self) -> Uuid {
        self.command_id
    }

    pub(super) fn store(&self) -> &'a dyn EventStore {
        &*self.execute.repository.store
    }

    pub(super) fn lane(&self, cache: &Cache<A>) -> Arc<Lane<A>> {
        cache.lane(self.execute.id.uuid())
    }

    fn aggregate(&self) -> AggregateName {
        AggregateName::new(A::TYPE, self.execute.id.uuid())
    }
}

/// Gives the typed answer that an append or its receipt holds.
pub(super) fn answer<A: Aggregate>(appended: &Appended) -> Ended<A> {
    match &appended.outcome {
        ReceiptOutcome::Accepted => Ok(Executed::of(appended)),
        ReceiptOutcome::Rejected { rejection } => Err(ExecuteError::Rejected {
            rejection: Repository::<A>::read_rejection(rejection)?,
            replayed: appended.replayed,
        }),
    }
}
