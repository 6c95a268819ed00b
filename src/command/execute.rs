//! One command, run to its end.

use std::{future::IntoFuture, pin::Pin, time::Duration};

use serde::Serialize;
use uuid::Uuid;

use super::{ExecuteError, Executed, Loaded, Repository, retry::Attempts, send::send};
use crate::{
    domain::{Aggregate, Id},
    store::{
        AggregateName, Append, Appended, Error, ExpectedVersion, Fingerprint, IdempotencyKey, Metadata, NewEvent,
        ReceiptOutcome, StreamQuery, telemetry,
    },
};

/// Runs a command when it is awaited. Made by [`Repository::execute`].
#[must_use = "a command runs when it is awaited"]
#[derive(Debug)]
pub struct Execute<'a, A: Aggregate> {
    repository: &'a Repository<A>,
    id: Id<A>,
    command: &'a A::Command,
    expected: ExpectedVersion,
    key: Option<IdempotencyKey>,
    fingerprint: Option<Result<Fingerprint, Error>>,
    keep_receipt_for: Option<Duration>,
    metadata: Metadata,
}

/// How an attempt ended that need not be made again.
type Ended<A> = Result<Executed, ExecuteError<<A as Aggregate>::Rejection>>;

/// The key of a command and the request it stands for.
struct Keyed {
    key: IdempotencyKey,
    fingerprint: Fingerprint,
}

impl<'a, A: Aggregate> Execute<'a, A> {
    pub(super) fn new(repository: &'a Repository<A>, id: Id<A>, command: &'a A::Command) -> Self {
        Self {
            repository,
            id,
            command,
            expected: ExpectedVersion::Any,
            key: None,
            fingerprint: None,
            keep_receipt_for: None,
            metadata: Metadata::new(),
        }
    }

    /// Runs the command once under this key: accepted, without events or rejected, every retry gets the first answer.
    pub fn idempotency_key(mut self, key: IdempotencyKey) -> Self {
        self.key = Some(key);
        self
    }

    /// Sets what the client sent, where the command holds more than that: a time, a price that was looked up.
    ///
    /// By default the command itself is the request. Only used with an idempotency key.
    pub fn fingerprint_of<R: Serialize + ?Sized>(mut self, request: &R) -> Self {
        self.fingerprint = Some(Fingerprint::of(request));
        self
    }

    /// Sets a fingerprint that was taken elsewhere. Only used with an idempotency key.
    pub fn fingerprint(mut self, fingerprint: Fingerprint) -> Self {
        self.fingerprint = Some(Ok(fingerprint));
        self
    }

    /// Pins the version the command is meant for: one that does not hold is a conflict, and is returned.
    ///
    /// By default, and with [`ExpectedVersion::Any`], a conflict is met by loading and deciding again.
    pub const fn expected_version(mut self, expected: ExpectedVersion) -> Self {
        self.expected = expected;
        self
    }

    /// Lets the idempotency key be used anew after this time. Default: never.
    pub const fn keep_receipt_for(mut self, keep_for: Duration) -> Self {
        self.keep_receipt_for = Some(keep_for);
        self
    }

    /// Sets the metadata, kept beside each event.
    pub fn metadata(mut self, metadata: Metadata) -> Self {
        self.metadata = metadata;
        self
    }

    #[cfg_attr(
        feature = "tracing",
        tracing::instrument(
            name = "execute",
            skip_all,
            fields(
                annals.aggregate_type = A::TYPE,
                annals.command_id = tracing::field::Empty,
                annals.expected_version = %self.expected,
                annals.position = tracing::field::Empty,
                annals.replayed = tracing::field::Empty,
                error.type = tracing::field::Empty,
            )
        )
    )]
    async fn run(self) -> Ended<A> {
        let ended = self.attempts().await;
        match &ended {
            Ok(executed) => telemetry::command_executed(executed.position, executed.replayed),
            Err(ExecuteError::Rejected { replayed, .. }) => telemetry::command_rejected(*replayed),
            Err(ExecuteError::Store(error)) => telemetry::command_failed(error),
        }
        ended
    }

    async fn attempts(self) -> Ended<A> {
        let keyed = self.keyed()?;
        let command_id = keyed.as_ref().map_or_else(Uuid::now_v7, |keyed| keyed.key.command_id(self.id.uuid()));
        telemetry::command_begun(command_id);
        let mut attempts = self.repository.retry.begin("command");
        loop {
            match self.attempt(keyed.as_ref(), command_id, &mut attempts).await {
                Err(ExecuteError::Store(error)) if self.can_decide_again(&error) => attempts.pause_after(error).await?,
                ended => return ended,
            }
        }
    }

    /// A conflict is met by deciding again, unless the caller pinned what no longer holds: then only they know.
    fn can_decide_again(&self, error: &Error) -> bool {
        match error {
            Error::Conflict { actual, .. } => self.expected.holds_at(*actual),
            error => error.is_retryable(),
        }
    }

    fn keyed(&self) -> Result<Option<Keyed>, Error> {
        let Some(key) = self.key.clone() else {
            return Ok(None);
        };
        let fingerprint = match &self.fingerprint {
            Some(fingerprint) => fingerprint.clone()?,
            None => Fingerprint::of(self.command)?,
        };
        Ok(Some(Keyed { key, fingerprint }))
    }

    /// Loads, decides and appends once. In this order: the receipt, the pinned version, the decision.
    async fn attempt(&self, keyed: Option<&Keyed>, command_id: Uuid, attempts: &mut Attempts) -> Ended<A> {
        let mut query = StreamQuery::of(self.id);
        query.receipt_of = keyed.map(|keyed| keyed.key.clone());
        let (loaded, read) = self.repository.fold(&query).await?;
        if let (Some(receipt), Some(keyed)) = (read.receipt, keyed) {
            return answer::<A>(&Appended::replay(receipt, &keyed.fingerprint, self.aggregate())?);
        }
        let Loaded { state, version } = loaded;
        if !self.expected.holds_at(version) {
            let (aggregate, expected) = (self.aggregate(), self.expected);
            return Err(Error::Conflict { aggregate, expected, actual: version }.into());
        }
        let append = self.append_at(version, keyed, command_id);
        let append = match (state.decide(self.command), keyed) {
            (Ok(events), None) if events.is_empty() => return Ok(Executed::nothing_at(version)),
            (Err(rejection), None) => return Err(ExecuteError::Rejected { rejection, replayed: false }),
            (Ok(events), _) => append.events(self.encode(&events)?),
            (Err(rejection), Some(_)) => {
                let unfit = |source| Error::codec(format!("a rejection of {} cannot be written", A::TYPE), source);
                append.rejected(serde_json::to_string(&rejection).map_err(unfit)?.into())
            }
        };
        answer::<A>(&send(&*self.repository.store, append, attempts).await.map_err(|error| self.as_pinned(error))?)
    }

    fn append_at(&self, version: u64, keyed: Option<&Keyed>, command_id: Uuid) -> Append {
        let append = Append::to(self.id)
            .expected(ExpectedVersion::Exact(version))
            .command_id(command_id)
            .metadata(self.metadata.clone());
        match keyed {
            Some(keyed) => {
                let append = append.idempotency_key(keyed.key.clone()).fingerprint(keyed.fingerprint);
                self.keep_receipt_for.map_or(append.clone(), |keep_for| append.keep_receipt_for(keep_for))
            }
            None => append,
        }
    }

    fn encode(&self, events: &[A::Event]) -> Result<Vec<NewEvent>, Error> {
        events.iter().map(|event| NewEvent::encode(event, &self.repository.upcasters)).collect()
    }

    /// A conflict speaks of the version decided at; the caller pinned something else, or nothing.
    fn as_pinned(&self, error: Error) -> Error {
        match error {
            Error::Conflict { aggregate, actual, .. } => Error::Conflict { aggregate, expected: self.expected, actual },
            other => other,
        }
    }

    fn aggregate(&self) -> AggregateName {
        AggregateName::new(A::TYPE, self.id.uuid())
    }
}

/// Gives the typed answer that an append or its receipt holds.
fn answer<A: Aggregate>(appended: &Appended) -> Ended<A> {
    match &appended.outcome {
        ReceiptOutcome::Accepted => Ok(Executed::of(appended)),
        ReceiptOutcome::Rejected { rejection } => Err(ExecuteError::Rejected {
            rejection: Repository::<A>::read_rejection(rejection)?,
            replayed: appended.replayed,
        }),
    }
}

impl<'a, A: Aggregate> IntoFuture for Execute<'a, A> {
    type Output = Ended<A>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}
