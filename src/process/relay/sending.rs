//! Messages under way: never two of one aggregate.

use std::{
    collections::{BTreeSet, HashSet},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use backon::ExponentialBackoff;
use futures_util::future::{Either, select};
use tokio::time::{Instant, sleep, sleep_until};

use super::{Envelope, Message, PublishError, Publisher};
use crate::{
    process::{patience::Pauses, telemetry},
    read::{Signal, TellBatch, ToldBatch},
    store::{AggregateName, Error, Position, RecordedEvent},
};

/// The pauses while the receiver is away.
const OUTAGE: Pauses = Pauses::new(Duration::from_millis(50), Duration::from_secs(5));

/// The longest that a receiver may ask to be left alone.
const LONGEST_REST: Duration = Duration::from_secs(60 * 60);

/// How long messages under way are waited for once the relay is told to stop. Those that are not answered go again.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// Publishes events, in order per aggregate.
pub(super) struct Sending<'r> {
    name: Arc<str>,
    publisher: &'r dyn Publisher,
    envelope: &'r Envelope,
    /// The receiver has these for good, and the checkpoint does not stand behind them yet.
    acknowledged: BTreeSet<Position>,
    outage: Option<Outage>,
}

/// A time in which the receiver is away.
struct Outage {
    since: Instant,
    pauses: ExponentialBackoff,
    /// Nothing is sent before.
    rest_until: Instant,
}

/// What keeps a batch from being handled as a whole.
struct Trouble {
    at: usize,
    error: PublishError,
}

/// A batch on its way out.
struct Batch {
    events: Vec<RecordedEvent>,
    /// Whether the receiver has them.
    is_sent: Vec<bool>,
    /// The first event that has failed: none behind it is sent any more.
    trouble: Option<Trouble>,
}

impl Batch {
    /// How many events from the first on the receiver has.
    fn handled(&self) -> usize {
        self.is_sent.iter().take_while(|is_sent| **is_sent).count()
    }

    /// What goes next: of each aggregate the first event that the receiver does not have.
    fn wave(&self) -> Vec<usize> {
        let end = self.trouble.as_ref().map_or(self.events.len(), |trouble| trouble.at);
        let mut under_way = HashSet::new();
        let waiting = (0..end).filter(|at| !self.is_sent[*at]);
        waiting.filter(|at| under_way.insert(self.events[*at].aggregate_id())).collect()
    }

    fn fail(&mut self, at: usize, error: PublishError) {
        if self.trouble.as_ref().is_none_or(|trouble| at < trouble.at) {
            self.trouble = Some(Trouble { at, error });
        }
    }
}

impl<'r> Sending<'r> {
    pub(super) fn new(name: Arc<str>, publisher: &'r dyn Publisher, envelope: &'r Envelope) -> Self {
        Self { name, publisher, envelope, acknowledged: BTreeSet::new(), outage: None }
    }

    /// Sends one wave. `false`: told to stop.
    async fn send(&mut self, batch: &mut Batch, wave: Vec<usize>, stop: &Signal) -> Result<bool, Error> {
        let (mut places, mut messages) = (Vec::with_capacity(wave.len()), Vec::with_capacity(wave.len()));
        for at in wave {
            match self.envelope.wrap(&batch.events[at]) {
                Ok(message) => {
                    places.push(at);
                    messages.push(message);
                }
                Err(error) => batch.fail(at, PublishError::refused(error)),
            }
        }
        if messages.is_empty() {
            return Ok(true);
        }
        let Some(answers) = self.publish(&messages, stop).await else { return Ok(false) };
        if answers.len() != messages.len() {
            return Err(Error::invalid(format!(
                "a publisher has answered {} of {} messages",
                answers.len(),
                messages.len()
            )));
        }
        let mut away = None;
        let mut published = 0;
        for (at, answer) in places.into_iter().zip(answers) {
            match answer {
                Ok(()) => {
                    batch.is_sent[at] = true;
                    self.acknowledged.insert(batch.events[at].position());
                    published += 1;
                }
                Err(PublishError::Unavailable { source, retry_after }) => {
                    away = Some((source, retry_after.max(away.and_then(|(_, earlier)| earlier))));
                }
                Err(error) => batch.fail(at, error),
            }
        }
        telemetry::published(&self.name, published);
        match away {
            Some((source, retry_after)) => self.is_away(&*source, retry_after, published > 0),
            None => self.is_back(),
        }
        Ok(true)
    }

    /// `None`: told to stop, and the receiver has not answered in time.
    async fn publish(&self, messages: &[Message], stop: &Signal) -> Option<Vec<Result<(), PublishError>>> {
        let began = Instant::now();
        let last_moment = async {
            stop.up().await;
            sleep(LAST_ANSWERS).await;
        };
        match select(pin!(self.publisher.publish(messages)), pin!(last_moment)).await {
            Either::Left((answers, _)) => {
                telemetry::publish_took(&self.name, began.elapsed());
                Some(answers)
            }
            Either::Right(_) => None,
        }
    }

    fn is_away(&mut self, error: &(dyn std::error::Error + 'static), retry_after: Option<Duration>, gets_on: bool) {
        let outage = self.outage.get_or_insert_with(|| {
            telemetry::outage_begun(&self.name, error);
            Outage { since: Instant::now(), pauses: OUTAGE.begin(), rest_until: Instant::now() }
        });
        if gets_on {
            outage.pauses = OUTAGE.begin();
        }
        let pause = outage.pauses.next().unwrap_or(OUTAGE.longest);
        outage.rest_until = Instant::now() + pause.max(retry_after.unwrap_or_default().min(LONGEST_REST));
    }

    fn is_back(&mut self) {
        if let Some(outage) = self.outage.take() {
            telemetry::outage_over(&self.name, outage.since.elapsed());
        }
    }

    /// What is told of a batch with trouble, once everything before it is sent.
    fn failed(&self, events: &[RecordedEvent], trouble: Trouble) -> Result<ToldBatch, Error> {
        let Trouble { at, error } = trouble;
        match error {
            // The relay ends: first the checkpoint moves behind what is sent.
            PublishError::Gone { .. } if at > 0 => Ok(ToldBatch::Handled(at)),
            PublishError::Gone { .. } => Err(Error::Handler {
                consumer: self.name.to_string(),
                aggregate: AggregateName::new(events[at].aggregate_type(), events[at].aggregate_id()),
                sequence: events[at].sequence(),
                source: Arc::new(error),
            }),
            error => {
                let is_final = matches!(error, PublishError::Refused { .. });
                telemetry::not_published(&self.name, is_final);
                Ok(ToldBatch::Failed { handled: at, at, error: error.into(), is_final })
            }
        }
    }
}

impl TellBatch for Sending<'_> {
    fn begin(&mut self) {
        // Somebody may have moved the checkpoint back, to have everything sent again.
        self.acknowledged.clear();
    }

    async fn tell(&mut self, events: Vec<RecordedEvent>, stop: &Signal) -> Result<ToldBatch, Error> {
        if let Some(first) = events.first() {
            self.acknowledged = self.acknowledged.split_off(&first.position());
        }
        let is_sent = events.iter().map(|event| self.acknowledged.contains(&event.position())).collect();
        let mut batch = Batch { events, is_sent, trouble: None };
        loop {
            if let Some(outage) = &self.outage {
                stop.unless(sleep_until(outage.rest_until)).await;
            }
            let wave = batch.wave();
            if wave.is_empty() {
                return match batch.trouble.take() {
                    Some(trouble) => self.failed(&batch.events, trouble),
                    None => Ok(ToldBatch::Handled(batch.events.len())),
                };
            }
            if stop.is_up() || !self.send(&mut batch, wave, stop).await? {
                return Ok(ToldBatch::Handled(batch.handled()));
            }
            // What the receiver has is noted before it is waited for.
            let handled = batch.handled();
            if self.outage.is_some() && handled > 0 {
                return Ok(ToldBatch::Handled(handled));
            }
        }
    }
}
