//! Errands whose runners are broken off at points, and followed by others.

use std::{sync::Arc, time::Duration};

use annals::{
    Error, Id, ManualClock, Repository,
    process::{Process, ProcessStatus, ProcessStepState},
};

use super::{
    errand::{Errand, LEASE, Plan, Wish, WishCommand, Work, errand_of, flight_of, passenger, runner},
    history,
    late::until,
    place::Whole,
    trip::{Flight, FlightEvent},
    with_points::WithPoints,
};
use crate::steps::{
    points::{Attempt, Points, Stop, Zombie, attempt},
    service::Service,
};

/// One errand: its runners, those that were held up, and the service they call.
pub struct Run<S> {
    store: S,
    clock: Arc<ManualClock>,
    pub wish: Id<Wish>,
    plan: Plan,
    pub service: Service,
    zombies: Vec<Zombie<Result<(), Error>>>,
    pub lost_reply_each: u32,
}

impl<S: Whole> Run<S> {
    pub async fn begin(store: &S, clock: &Arc<ManualClock>, plan: &Plan) -> Self {
        let wish = Id::new();
        Repository::<Wish>::new(store).execute(wish, &WishCommand::Make(plan.clone())).await.unwrap();
        Self {
            store: store.clone(),
            clock: Arc::clone(clock),
            wish,
            plan: plan.clone(),
            service: Service::default(),
            zombies: Vec::new(),
            lost_reply_each: 0,
        }
    }

    pub async fn cancel(&self) {
        Repository::<Wish>::new(&self.store).execute(self.wish, &WishCommand::Cancel).await.unwrap();
    }

    /// Has a runner do what it can, up to its point. `false`: it was broken off there.
    pub async fn attempt(&mut self, stop_at: Option<(u32, Stop)>) -> bool {
        // Whoever was broken off has held its leases for as long as that.
        self.clock.advance(LEASE);
        let points = Points::stop_at(stop_at);
        let mut store = WithPoints::new(&self.store, &points);
        store.lost_reply_each = self.lost_reply_each;
        let runner = runner(&store, &self.service);
        match attempt(&points, async move { runner.catch_up().await }).await {
            Attempt::Ended(ended) => {
                ended.unwrap();
                true
            }
            Attempt::Killed => false,
            Attempt::HeldUp(zombie) => {
                self.zombies.push(zombie);
                false
            }
        }
    }

    /// Has a runner run to the end of the errand, which is cancelled when the runner has come to that point.
    pub async fn run_and_cancel_at(&mut self, point: u32) {
        self.clock.advance(LEASE);
        let points = Points::stop_at(None);
        let runner = runner(&WithPoints::new(&self.store, &points), &self.service);
        let (end, ends) = tokio::sync::oneshot::channel::<()>();
        let running = tokio::spawn(async move { runner.run(async { drop(ends.await) }).await });
        until(async || points.passed() >= point).await;
        self.cancel().await;
        until(async || self.process().await.status().is_terminal()).await;
        drop(end);
        running.await.unwrap().unwrap();
    }

    pub async fn process(&self) -> Process<Errand> {
        Repository::<Process<Errand>>::new(&self.store).load(errand_of(self.wish)).await.unwrap().state
    }

    /// Lets those that were held up go on, beside whatever comes next.
    pub fn release(&self) {
        self.zombies.iter().for_each(Zombie::go_on);
    }

    /// Has runners work until the errand has ended.
    pub async fn finish(&mut self, most: usize) -> ProcessStatus {
        for _ in 0..most {
            assert!(self.attempt(None).await);
            let status = self.process().await.status();
            if status.is_terminal() {
                return status;
            }
        }
        panic!("the errand does not come to an end: {:?}", self.process().await);
    }

    /// Lets those that were held up come to their ends, and looks at the history and at the books.
    pub async fn settle(mut self) -> ProcessStatus {
        self.release();
        for zombie in self.zombies.drain(..) {
            // A router that was late may end with an error, as may one whose events were taken.
            drop(tokio::time::timeout(Duration::from_secs(30), zombie.task).await.expect("it comes to its end"));
        }
        let process = history::check(&self.store, errand_of(self.wish)).await;
        self.check_calls(&process);
        self.check_commands(&process).await;
        process.status()
    }

    fn check_calls(&self, process: &Process<Errand>) {
        let is_completed = process.status() == ProcessStatus::Completed;
        for part in self.plan.parts.iter().filter(|part| part.work == Work::Call) {
            let entry = self.service.entry(&part.name);
            assert!(entry.effects <= 1 && entry.undone <= 1, "{entry:?}");
            match part.is_undoable {
                _ if is_completed => assert_eq!((entry.effects, entry.undone), (1, 0), "{entry:?}"),
                true => assert!(entry.effects <= entry.undone, "{} is left: {entry:?}", part.name),
                false => assert_eq!(entry.undone, 0, "{entry:?}"),
            }
        }
        let notices = u32::from(!is_completed && self.plan.notifies);
        assert_eq!(self.service.entry("notice").effects, notices);
        let books = self.service.books();
        let story: Vec<_> = books.story.iter().map(String::as_str).filter(|line| *line != "notice").collect();
        // Effects in the order of the plan, and then what was undone in reverse: nothing of the one after the other.
        let undone: Vec<_> = story.iter().filter_map(|line| line.strip_prefix("undo ")).collect();
        let done: Vec<_> = story.iter().filter(|line| !line.starts_with("undo ")).copied().collect();
        // What cannot be undone may still happen, where it was on its way.
        let is_kept = |line: &&str| self.plan.parts.iter().any(|part| part.name == *line && !part.is_undoable);
        let names = || self.plan.parts.iter().map(|part| part.name.as_str());
        assert_eq!(done, names().filter(|name| done.contains(name)).collect::<Vec<_>>(), "{story:?}");
        assert_eq!(undone, names().rev().filter(|name| undone.contains(name)).collect::<Vec<_>>(), "{story:?}");
        let mut ends = story.iter().filter(|line| !is_kept(line)).skip_while(|line| !line.starts_with("undo "));
        assert!(ends.all(|line| line.starts_with("undo ")), "{story:?}");
    }

    /// What the flight has recorded: a seat taken once, and given back once where it was undone.
    async fn check_commands(&self, process: &Process<Errand>) {
        let (mut story, flights) = (Vec::new(), Repository::<Flight>::new(&self.store));
        let replayed = flights.replay(flight_of(self.wish.uuid()), |step| {
            story.push(match *step.event {
                FlightEvent::SeatsTaken { trip, .. } => (trip, 1),
                FlightEvent::SeatsGiven { trip } => (trip, -1),
            });
        });
        replayed.await.unwrap();
        for part in self.plan.parts.iter().filter(|part| part.work == Work::Command) {
            let own: Vec<_> =
                story.iter().filter(|(trip, _)| *trip == passenger(&part.name)).map(|(_, by)| *by).collect();
            let state = process.step(&part.name).map(|step| step.state);
            let expected: &[&[i32]] = match (process.status(), state) {
                (ProcessStatus::Completed, _) => &[&[1]],
                (_, Some(ProcessStepState::Refused) | None) => &[&[]],
                (_, _) if part.is_undoable => &[&[], &[1, -1]],
                (_, Some(ProcessStepState::Done)) => &[&[1]],
                _ => &[&[], &[1]],
            };
            assert!(expected.contains(&own.as_slice()), "{}: {own:?}, not one of {expected:?}", part.name);
        }
    }
}
