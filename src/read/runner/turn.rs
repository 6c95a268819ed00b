//! The time between taking a lease and letting go of it.

use std::{collections::HashSet, pin::pin, time::Duration};

use backon::ExponentialBackoff;
use futures_util::future::{Either, select};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::{
    Chunk, Ended, Handle, Handled, Held, OUTAGE, Runner, Signal,
    feed::{Feed, Page, Wanted},
    is_passing,
};
use crate::{
    read::{
        parked::Pages,
        settings::{BoxError, OnFailure},
        telemetry,
    },
    store::{
        AggregateName, Checkpoint, CheckpointStore, Cursor, Error, NewParkedEvent, Position, RecordedEvent, Step,
        with_sources,
    },
};

/// How long a checkpoint stays behind events that the selection has left out.
///
/// Moving it is a write; other consumers' events may be many.
const PASSED_OVER_AFTER: Duration = Duration::from_secs(1);

/// Parked events are read in pages of so many.
const PARKED_PAGE: u32 = 1_000;

pub(super) struct Turn<'t, S> {
    pub(super) runner: &'t Runner<S>,
    pub(super) held: &'t Held,
    pub(super) stop: &'t Signal,
    /// Where the checkpoint stood when it began, and when that was.
    began: (Position, Instant),
    /// Where the checkpoint stands.
    pub(super) cursor: Cursor,
    /// When it was last moved.
    moved_at: Instant,
    /// Aggregates of which events are parked, and how many events.
    pub(super) parked: HashSet<Uuid>,
    pub(super) parked_events: u64,
    /// The runner before has ended without letting go.
    pub(super) is_after_crash: bool,
    /// So many events are handled one by one: a runner has ended among them.
    careful: usize,
    /// The next chunk has so many events, then comes one that has failed.
    next: Option<usize>,
    /// The event that has failed, and how often.
    failed: Option<Trouble>,
}

struct Trouble {
    position: Position,
    attempts: u32,
    pauses: ExponentialBackoff,
}

impl<'t, S: CheckpointStore + Clone + 'static> Turn<'t, S> {
    pub(super) fn new(runner: &'t Runner<S>, held: &'t Held, checkpoint: &Checkpoint, stop: &'t Signal) -> Self {
        Self {
            runner,
            held,
            stop,
            began: (checkpoint.cursor.position, Instant::now()),
            cursor: checkpoint.cursor,
            moved_at: Instant::now(),
            parked: HashSet::new(),
            parked_events: 0,
            is_after_crash: checkpoint.crashes > 0,
            careful: if checkpoint.crashes > 0 { runner.settings.batch_events } else { 0 },
            next: None,
            failed: None,
        }
    }

    /// Whether it has handled something, or has been at work for longer than any pause.
    pub(super) fn has_got_on(&self) -> bool {
        let (position, at) = self.began;
        self.cursor.position > position || at.elapsed() > OUTAGE.longest_pause
    }

    /// Catches up and follows on, until told to stop or the target is reached.
    pub(super) async fn work(
        &mut self,
        checkpoint: &Checkpoint,
        target: Option<Cursor>,
        handle: &mut impl Handle,
    ) -> Result<Ended, Error> {
        if !handle.begin(checkpoint, &self.held.lease).await? {
            return Ok(Ended::Lost);
        }
        self.know_parked().await?;
        let settings = &self.runner.settings;
        let mut feed = Feed::start(
            &self.runner.store,
            Wanted {
                part: (!settings.is_whole_log).then(|| settings.consumer.clone()),
                selection: settings.selection.clone(),
                after: self.cursor,
                up_to: target,
            },
        );
        // Passed over, and not yet noted.
        let mut passed = None;
        loop {
            if self.held.requests.is_up() && !self.tell_requested(handle).await? {
                return Ok(Ended::Lost);
            }
            let page = match self.next_page(&mut feed, passed.is_some()).await {
                Got::Page(page) => page?,
                Got::Pause => {
                    if !self.pass_over(passed.take()).await? {
                        return Ok(Ended::Lost);
                    }
                    continue;
                }
                Got::Request => continue,
                Got::Stop | Got::End => {
                    return Ok(if self.pass_over(passed).await? { Ended::Done } else { Ended::Lost });
                }
                Got::Lost => return Ok(Ended::Lost),
            };
            if page.events.is_empty() {
                passed = Some(page.end);
                continue;
            }
            passed = None;
            if !self.page(&page, handle).await? {
                return Ok(Ended::Lost);
            }
        }
    }

    async fn next_page(&self, feed: &mut Feed, is_behind: bool) -> Got {
        if self.stop.is_up() {
            return Got::Stop;
        }
        let next = async {
            if !is_behind {
                return feed.next().await.map_or(Got::End, Got::Page);
            }
            let pause = PASSED_OVER_AFTER.saturating_sub(self.moved_at.elapsed());
            match select(pin!(feed.next()), pin!(sleep(pause))).await {
                Either::Left((page, _)) => page.map_or(Got::End, Got::Page),
                Either::Right(_) => Got::Pause,
            }
        };
        // Live events first, where some are there.
        let either = async {
            match select(pin!(next), pin!(self.held.requests.up())).await {
                Either::Left((got, _)) => got,
                Either::Right(_) => Got::Request,
            }
        };
        match self.held.lost.unless(self.stop.unless(either)).await {
            None => Got::Lost,
            Some(None) => Got::Stop,
            Some(Some(got)) => got,
        }
    }

    /// Moves the checkpoint over events that the selection has left out. `false`: the lease is lost.
    async fn pass_over(&mut self, to: Option<Cursor>) -> Result<bool, Error> {
        match to {
            Some(to) => self.step(to, &[]).await,
            None => Ok(true),
        }
    }

    async fn step(&mut self, to: Cursor, parked: &[NewParkedEvent]) -> Result<bool, Error> {
        let step = Step { from: self.cursor.position, to, parked };
        let is_moved = self.runner.store.advance(&self.held.lease, &step).await?;
        if is_moved {
            (self.cursor, self.moved_at) = (to, Instant::now());
        }
        Ok(is_moved)
    }

    /// Handles a page. `false`: the lease is lost; told to stop, it leaves the rest.
    async fn page(&mut self, page: &Page, handle: &mut impl Handle) -> Result<bool, Error> {
        let mut rest = &page.events[..];
        loop {
            rest = &rest[rest.partition_point(|event| event.position() <= self.cursor.position)..];
            if rest.is_empty() || self.stop.is_up() {
                return Ok(true);
            }
            if self.held.lost.is_up() {
                return Ok(false);
            }
            if self.held.requests.is_up() && !self.tell_requested(handle).await? {
                return Ok(false);
            }
            let size = self.chunk_size().min(rest.len());
            let (events, after) = rest.split_at(self.room(&rest[..size])?);
            let end = if after.is_empty() { page.end } else { Cursor::from(&events[events.len() - 1]) };
            match self.suspect(events, end).await? {
                Suspect::Sound => {}
                Suspect::Parked => continue,
                Suspect::Lost => return Ok(false),
            }
            let chunk = Chunk {
                lease: &self.held.lease,
                from: self.cursor,
                events,
                end,
                parked: &self.parked,
                stop: self.stop,
                lost: &self.held.lost,
            };
            let handled = handle.handle(chunk).await?;
            let moved = match &handled {
                Handled::Moved(moved) | Handled::Failed { moved, .. } => *moved,
                Handled::OneOfThem => {
                    self.careful = events.len();
                    continue;
                }
                Handled::Lost => return Ok(false),
            };
            let to = chunk.cursor_behind(moved);
            self.moved(to, &events[..moved]);
            if let Handled::Failed { at, error, is_final, .. } = handled
                && !self.failed(&events[at..], at.checked_sub(moved), end, (error, is_final)).await?
            {
                return Ok(false);
            }
        }
    }

    /// How many of these events there is room for, where some are to be parked behind others.
    fn room(&self, events: &[RecordedEvent]) -> Result<usize, Error> {
        let most = match self.runner.settings.on_failure {
            OnFailure::Park { most } => most,
            // They were parked by a runner that was told to.
            OnFailure::Stop => OnFailure::PARKED_EVENTS,
        };
        let room = u64::from(most).saturating_sub(self.parked_events);
        let mut behind = events.iter().enumerate().filter(|(_, event)| self.parked.contains(&event.aggregate_id()));
        match behind.nth(usize::try_from(room).unwrap_or(usize::MAX)) {
            None => Ok(events.len()),
            Some((0, event)) => {
                let full = "earlier events of its aggregate are parked, and there is no room for more";
                Err(self.handler_error(event, full.into()))
            }
            Some((at, _)) => Ok(at),
        }
    }

    fn handler_error(&self, event: &RecordedEvent, error: BoxError) -> Error {
        Error::Handler {
            consumer: self.runner.settings.consumer.to_string(),
            aggregate: AggregateName::new(event.aggregate_type(), event.aggregate_id()),
            sequence: event.sequence(),
            source: error.into(),
        }
    }

    fn chunk_size(&mut self) -> usize {
        match self.next.take() {
            Some(events) => events,
            None if self.careful > 0 || self.failed.is_some() => 1,
            None => self.runner.settings.batch_events,
        }
    }

    /// Takes note of where the checkpoint stands now.
    fn moved(&mut self, to: Cursor, events: &[RecordedEvent]) {
        if to.position > self.cursor.position {
            (self.cursor, self.moved_at) = (to, Instant::now());
            self.careful = self.careful.saturating_sub(events.len());
            if self.failed.as_ref().is_some_and(|failed| failed.position <= to.position) {
                self.failed = None;
            }
        }
        for event in events.iter().filter(|event| self.parked.contains(&event.aggregate_id())) {
            self.parked_events += 1;
            telemetry::event_parked(&self.runner.settings.consumer, event, true);
        }
    }

    /// Sees to an event that has failed, the first of these, with so many before it that are not handled either.
    ///
    /// `None` before it: the checkpoint stands behind it already, and it is not told again. `false`: the lease is lost.
    async fn failed(
        &mut self,
        events: &[RecordedEvent],
        before: Option<usize>,
        end: Cursor,
        (error, is_final): (BoxError, bool),
    ) -> Result<bool, Error> {
        let event = &events[0];
        if let (Some(passing), Some(_)) = (is_passing(&error), before) {
            return Err(passing);
        }
        let attempts = self.runner.settings.attempts;
        let earlier = self.failed.take().filter(|failed| failed.position == event.position());
        let mut trouble =
            earlier.unwrap_or_else(|| Trouble { position: event.position(), attempts: 0, pauses: attempts.pauses() });
        trouble.attempts += 1;
        telemetry::attempt_failed(&self.runner.settings.consumer, event, trouble.attempts, &*error);
        let Some(before) = before else {
            return self.give_up(event, self.cursor, trouble.attempts, error).await;
        };
        if (is_final || trouble.attempts >= attempts.most) && before == 0 {
            let to = if events.len() == 1 { end } else { Cursor::from(event) };
            return self.give_up(event, to, trouble.attempts, error).await;
        }
        // Those before it go first, in a batch of their own, and then this one alone.
        self.next = (before > 0).then_some(before);
        let pause = trouble.pauses.next().unwrap_or(attempts.longest_pause);
        self.failed = Some(trouble);
        if before == 0 {
            self.held.lost.unless(self.stop.unless(sleep(pause))).await;
        }
        Ok(true)
    }

    /// Parks an event, or ends the runner. `false`: the lease is lost.
    async fn give_up(
        &mut self,
        event: &RecordedEvent,
        to: Cursor,
        attempts: u32,
        error: BoxError,
    ) -> Result<bool, Error> {
        let settings = &self.runner.settings;
        let most = match settings.on_failure {
            OnFailure::Park { most } => u64::from(most),
            OnFailure::Stop => 0,
        };
        if self.parked_events >= most {
            return Err(self.handler_error(event, error));
        }
        let parked =
            NewParkedEvent { error: Some(with_sources(&*error)), attempts, ..NewParkedEvent::behind_another(event) };
        if !self.step(to, &[parked]).await? {
            return Ok(false);
        }
        telemetry::event_parked(&settings.consumer, event, false);
        self.parked.insert(event.aggregate_id());
        self.parked_events += 1;
        self.failed = None;
        Ok(true)
    }

    /// After a crash: notes which event is begun, and parks one that runner after runner has begun and not survived.
    ///
    /// Only where events are parked. Otherwise whoever runs the runners sees that they die.
    async fn suspect(&mut self, events: &[RecordedEvent], end: Cursor) -> Result<Suspect, Error> {
        let settings = &self.runner.settings;
        let [event] = events else { return Ok(Suspect::Sound) };
        let is_stop = matches!(settings.on_failure, OnFailure::Stop);
        if self.careful == 0 || is_stop || self.parked.contains(&event.aggregate_id()) {
            return Ok(Suspect::Sound);
        }
        let Some(times) = self.runner.store.begin_attempt(&self.held.lease, event.position()).await? else {
            return Ok(Suspect::Lost);
        };
        if times <= settings.attempts.most {
            return Ok(Suspect::Sound);
        }
        let times = times - 1;
        let error = format!("{times} runners in a row have begun it, and have ended before it was handled");
        Ok(if self.give_up(event, end, times, error.into()).await? { Suspect::Parked } else { Suspect::Lost })
    }

    /// Reads of which aggregates events are parked.
    async fn know_parked(&mut self) -> Result<(), Error> {
        let settings = &self.runner.settings;
        let mut pages = Pages::of(settings.consumer.name(), None, PARKED_PAGE);
        while let Some(page) = pages.next(&self.runner.store).await? {
            self.parked_events += page.len() as u64;
            if page.iter().any(|event| event.replay_requested_at.is_some()) {
                self.held.requests.set(true);
            }
            self.parked.extend(page.iter().map(|event| event.aggregate_id).filter(|id| settings.has(*id)));
        }
        Ok(())
    }
}

/// What is known of an event that is begun after a crash.
enum Suspect {
    Sound,
    Parked,
    Lost,
}

/// What a runner waited for.
enum Got {
    Page(Result<Page, Error>),
    /// Time to note what was passed over.
    Pause,
    /// Parked events are asked for.
    Request,
    Stop,
    /// The target is reached.
    End,
    Lost,
}
