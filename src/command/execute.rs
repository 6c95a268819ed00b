//! One command, run to its end.

use std::{error::Error as StdError, future::IntoFuture, pin::Pin, time::Duration};

use serde::Serialize;
use uuid::Uuid;

use super::{ExecuteError, Executed, Loaded, Repository, repository::Fold, retry::Attempts, send::send};
use crate::{
    domain::{Aggregate, Id},
    store::{
        AggregateName, Append, Appended, Error, ExpectedVersion, Fingerprint, IdempotencyKey, Metadata, NewEvent,
        ReceiptOutcome, StreamQuery, StreamRead, Work, telemetry,
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

/// What an attempt comes to before anything is written.
enum Decision<A: Aggregate> {
    Ended(Ended<A>),
    Append(Box<Append>),
}

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

    /// Runs the command inside an open transaction: what it records and the application's own rows commit together.
    ///
    /// Under an idempotency key, look at `replayed` before writing own rows: they were written the first time. The
    /// receipt of a rejection is part of the transaction too, and gone if it is dropped.
    ///
    /// ```
    /// # async fn example<Order: annals::Aggregate>(store: &annals::SqliteStore, command: Order::Command,
    /// #     key: annals::IdempotencyKey) -> Result<(), Box<dyn std::error::Error>> {
    /// use annals::{Id, Repository, Transactional as _, Work as _};
    ///
    /// let orders = Repository::<Order>::new(store);
    /// let mut work = store.begin().await?;
    /// let done = orders.execute(Id::natural("537434"), &command).idempotency_key(key).within(&mut work).await?;
    /// if !done.replayed {
    ///     sqlx::query("INSERT INTO mails (body) VALUES ('thank you')").execute(work.connection()).await?;
    /// }
    /// work.commit().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As when it is awaited, but nothing is retried: after a conflict, begin again.
    pub async fn within<W: Work>(self, work: &mut W) -> Result<Executed, ExecuteError<A::Rejection>> {
        observed(A::TYPE, self.expected, async move {
            let keyed = self.keyed()?;
            let mut fold = Fold::new(&self.repository.upcasters);
            let read = work.read_stream(&self.query(keyed.as_ref()), &mut |stored| fold.step(stored).map(drop)).await?;
            match self.decide(fold.loaded, read, keyed.as_ref(), self.command_id(keyed.as_ref()))? {
                Decision::Ended(ended) => ended,
                Decision::Append(append) => answer::<A>(&work.append(&append).await?),
            }
        })
        .await
    }

    async fn run(self) -> Ended<A> {
        observed(A::TYPE, self.expected, async move {
            let keyed = self.keyed()?;
            let command_id = self.command_id(keyed.as_ref());
            let mut attempts = self.repository.retry.begin("command");
            loop {
                match self.attempt(keyed.as_ref(), command_id, &mut attempts).await {
                    Err(ExecuteError::Store(error)) if self.can_decide_again(&error) => {
                        attempts.pause_after(error).await?;
                    }
                    ended => return ended,
                }
            }
        })
        .await
    }

    /// Loads, decides and appends once.
    async fn attempt(&self, keyed: Option<&Keyed>, command_id: Uuid, attempts: &mut Attempts) -> Ended<A> {
        let store = &*self.repository.store;
        let mut fold = Fold::new(&self.repository.upcasters);
        let read = store.read_stream(&self.query(keyed), &mut |stored| fold.step(stored).map(drop)).await?;
        match self.decide(fold.loaded, read, keyed, command_id)? {
            Decision::Ended(ended) => ended,
            Decision::Append(append) => {
                answer::<A>(&send(store, *append, attempts).await.map_err(|error| self.as_pinned(error))?)
            }
        }
    }

    /// The whole stream, or the receipt of an earlier attempt.
    fn query(&self, keyed: Option<&Keyed>) -> StreamQuery {
        StreamQuery { receipt_of: keyed.map(|keyed| keyed.key.clone()), ..StreamQuery::of(self.id) }
    }

    /// Decides on what was read. In this order: the receipt, the pinned version, the decision.
    fn decide(
        &self,
        Loaded { state, version }: Loaded<A>,
        read: StreamRead,
        keyed: Option<&Keyed>,
        command_id: Uuid,
    ) -> Result<Decision<A>, Error> {
        if let (Some(receipt), Some(keyed)) = (read.receipt, keyed) {
            let first = Appended::replay(receipt, &keyed.fingerprint, self.aggregate())?;
            return Ok(Decision::Ended(answer::<A>(&first)));
        }
        if !self.expected.holds_at(version) {
            let (aggregate, expected) = (self.aggregate(), self.expected);
            return Err(Error::Conflict { aggregate, expected, actual: version });
        }
        let append = self.append_at(version, keyed, command_id);
        Ok(match (state.decide(self.command), keyed) {
            (Ok(events), None) if events.is_empty() => Decision::Ended(Ok(Executed::nothing_at(version))),
            (Err(rejection), None) => Decision::Ended(Err(ExecuteError::Rejected { rejection, replayed: false })),
            (Ok(events), _) => Decision::Append(Box::new(append.events(self.encode(&events)?))),
            (Err(rejection), Some(_)) => {
                let unfit = |source| Error::codec(format!("a rejection of {} cannot be written", A::TYPE), source);
                let rejection = serde_json::to_string(&rejection).map_err(unfit)?;
                Decision::Append(Box::new(append.rejected(rejection.into())))
            }
        })
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

    /// Every attempt of the command bears the same id; under a key, every attempt ever.
    fn command_id(&self, keyed: Option<&Keyed>) -> Uuid {
        let command_id = keyed.map_or_else(Uuid::now_v7, |keyed| keyed.key.command_id(self.id.uuid()));
        telemetry::command_begun(command_id);
        command_id
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

/// Runs a command under a span, and counts how it ended.
#[cfg_attr(
    feature = "tracing",
    tracing::instrument(
        name = "execute",
        skip_all,
        fields(
            annals.aggregate_type = aggregate_type,
            annals.command_id = tracing::field::Empty,
            annals.expected_version = %expected,
            annals.position = tracing::field::Empty,
            annals.replayed = tracing::field::Empty,
            error.type = tracing::field::Empty,
        )
    )
)]
#[cfg_attr(not(feature = "tracing"), expect(unused_variables, reason = "without tracing there is no span"))]
async fn observed<R: StdError + 'static>(
    aggregate_type: &'static str,
    expected: ExpectedVersion,
    command: impl Future<Output = Result<Executed, ExecuteError<R>>> + Send,
) -> Result<Executed, ExecuteError<R>> {
    let ended = command.await;
    match &ended {
        Ok(executed) => telemetry::command_executed(executed.position, executed.replayed),
        Err(ExecuteError::Rejected { replayed, .. }) => telemetry::command_rejected(*replayed),
        Err(ExecuteError::Store(error)) => telemetry::command_failed(error),
    }
    ended
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
