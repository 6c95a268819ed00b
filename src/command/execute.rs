//! One command, run to its end.

use std::{error::Error as StdError, future::IntoFuture, pin::Pin, time::Duration};

use serde::Serialize;

use super::{
    ExecuteError, Executed, Repository,
    attempt::{Attempt, Ended},
    in_lane,
};
use crate::{
    domain::{Aggregate, Id},
    store::{Error, ExpectedVersion, Fingerprint, IdempotencyKey, Metadata, Work, telemetry},
};

/// Runs a command when it is awaited. Made by [`Repository::execute`].
///
/// `tokio::join!` and others that take futures alone want [`into_future()`](IntoFuture::into_future) called on it.
#[must_use = "a command runs when it is awaited"]
#[derive(Debug)]
pub struct Execute<'a, A: Aggregate> {
    pub(super) repository: &'a Repository<A>,
    pub(super) id: Id<A>,
    pub(super) command: &'a A::Command,
    pub(super) expected: ExpectedVersion,
    pub(super) key: Option<IdempotencyKey>,
    pub(super) fingerprint: Option<Result<Fingerprint, Error>>,
    pub(super) keep_receipt_for: Option<Duration>,
    pub(super) metadata: Metadata,
    pub(super) records_rejections: bool,
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
            records_rejections: true,
        }
    }

    /// Runs the command once under this key.
    ///
    /// Accepted, without events or rejected, every retry gets the first answer.
    pub fn idempotency_key(mut self, key: IdempotencyKey) -> Self {
        self.key = Some(key);
        self
    }

    /// Sets what the client sent, where the command holds more than that.
    ///
    /// Such as a time, or a price that was looked up.
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

    /// Pins the version the command is meant for.
    ///
    /// One that does not hold is a conflict, and is returned.
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

    /// Has a rejection be no answer to keep under the key: the command is to be decided again when it comes again.
    pub(crate) const fn forgetting_rejections(mut self) -> Self {
        self.records_rejections = false;
        self
    }

    /// Runs the command inside an open transaction.
    ///
    /// What it records and the application's own rows commit together.
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
        observed(A::TYPE, self.expected, async { Attempt::new(&self)?.within(work).await }).await
    }

    async fn run(self) -> Ended<A> {
        observed(A::TYPE, self.expected, async {
            let mut attempt = Attempt::new(&self)?;
            let mut attempts = self.repository.retry.begin("command");
            loop {
                let made = match &self.repository.cache {
                    Some(cache) => in_lane::make(&attempt, cache, &mut attempts).await,
                    None => attempt.make(&mut attempts).await,
                };
                match made {
                    Err(ExecuteError::Store(error)) if !attempts.are_over() && self.can_decide_again(&error) => {
                        attempts.pause_after(error).await?;
                        attempt.decide_anew();
                    }
                    ended => {
                        if let Ok(executed) = &ended
                            && !executed.replayed
                        {
                            self.repository.snapshot_after(self.id, executed).await;
                        }
                        return ended;
                    }
                }
            }
        })
        .await
    }

    /// A conflict is met by deciding again, unless the caller pinned what no longer holds: then only they know.
    fn can_decide_again(&self, error: &Error) -> bool {
        match error {
            Error::Conflict { actual, .. } => self.expected.holds_at(*actual),
            error => error.is_retryable(),
        }
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

impl<'a, A: Aggregate> IntoFuture for Execute<'a, A> {
    type Output = Ended<A>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}
