//! Runs that are broken off at every point, once and twice, and begun again.

use std::sync::Arc;

use annals::{StepStore, process::StepError};
use uuid::Uuid;

use super::{
    order::{self, Part, Terminal},
    points::{Attempt, Points, Stop, WithPoints, Zombie, attempt},
    service::Service,
};

/// One run: its attempts, those that were held up, and the service they call.
pub struct Run {
    store: Arc<dyn StepStore>,
    id: Uuid,
    parts: Vec<Part>,
    pub service: Service,
    attempts: u32,
    zombies: Vec<Zombie<Result<Terminal, StepError>>>,
    pub lost_reply_each: u32,
}

impl Run {
    pub fn new(store: &Arc<dyn StepStore>, parts: &[Part]) -> Self {
        Self {
            store: Arc::clone(store),
            id: Uuid::now_v7(),
            parts: parts.to_vec(),
            service: Service::default(),
            attempts: 0,
            zombies: Vec::new(),
            lost_reply_each: 0,
        }
    }

    /// `None`: it was broken off.
    pub async fn attempt(&mut self, stop_at: Option<(u32, Stop)>) -> Option<Result<Terminal, StepError>> {
        self.attempts += 1;
        let points = Points::stop_at(stop_at);
        let mut store = WithPoints::new(&self.store, &points);
        store.lost_reply_each = self.lost_reply_each;
        let steps = order::steps(Arc::new(store), self.id, self.attempts);
        let work = order::handle(steps, self.parts.clone(), self.service.clone(), Arc::clone(&points));
        match attempt(&points, work).await {
            Attempt::Ended(ended) => Some(ended),
            Attempt::Killed => None,
            Attempt::HeldUp(zombie) => {
                self.zombies.push(zombie);
                None
            }
        }
    }

    /// Lets those that were held up go on, beside whatever comes next.
    pub fn release(&self) {
        self.zombies.iter().for_each(Zombie::go_on);
    }

    /// Lets those that were held up go on to their end, and looks at the service's books.
    pub async fn settle(mut self, terminal: Terminal) {
        self.release();
        for zombie in self.zombies.drain(..) {
            match zombie.task.await.unwrap() {
                Ok(ended) => assert_eq!(ended, terminal),
                Err(error) => assert!(!error.is_final(), "{error:?}"),
            }
        }
        self.check_books(terminal);
    }

    fn check_books(&self, terminal: Terminal) {
        for part in &self.parts {
            let entry = self.service.entry(&part.name);
            assert!(entry.effects <= 1 && entry.undone <= 1, "{entry:?}");
            match terminal {
                Terminal::Done => assert_eq!((entry.effects, entry.undone), (1, 0), "{}", part.name),
                Terminal::Undone if part.is_undoable => assert!(entry.effects <= entry.undone, "{entry:?}"),
                Terminal::Undone => assert_eq!(entry.undone, 0, "{entry:?}"),
            }
        }
        let notices = u32::from(terminal == Terminal::Undone);
        assert_eq!(self.service.entry("notice").effects, notices);
        let books = self.service.books();
        let undone: Vec<_> = books.story.iter().filter_map(|line| line.strip_prefix("undo ")).collect();
        let mut in_reverse: Vec<_> = self.parts.iter().rev().map(|part| part.name.as_str()).collect();
        in_reverse.retain(|name| undone.contains(name));
        assert_eq!(undone, in_reverse, "{:?}", books.story);
    }
}

/// A run that is broken off at the point, and in its second attempt at another; `false`: there is no such point.
async fn broken_off(
    store: &Arc<dyn StepStore>,
    parts: &[Part],
    terminal: Terminal,
    stops: [Option<(u32, Stop)>; 2],
    beside: bool,
) -> bool {
    let mut run = Run::new(store, parts);
    for stop in stops.into_iter().filter(Option::is_some) {
        match run.attempt(stop).await {
            Some(ended) if stop == stops[0] => {
                assert_eq!(ended.unwrap(), terminal);
                return false;
            }
            Some(ended) => {
                assert_eq!(ended.unwrap(), terminal);
                run.settle(terminal).await;
                return false;
            }
            None => {}
        }
        if beside {
            run.release();
        }
    }
    assert_eq!(run.attempt(None).await.unwrap().unwrap(), terminal);
    run.settle(terminal).await;
    true
}

/// Breaks a run off at each of its points; says how many there are.
pub async fn at_every_point(store: &Arc<dyn StepStore>, parts: &[Part], terminal: Terminal) -> u32 {
    for (stop, beside) in [(Stop::Killed, false), (Stop::HeldUp, false), (Stop::HeldUp, true)] {
        let mut point = 0;
        while broken_off(store, parts, terminal, [Some((point, stop)), None], beside).await {
            point += 1;
        }
        if stop == Stop::HeldUp && beside {
            return point;
        }
    }
    unreachable!("the last way returns");
}

/// Breaks a run off at each of its points, and its second attempt at each of that one's.
pub async fn at_every_two_points(store: &Arc<dyn StepStore>, parts: &[Part], terminal: Terminal, points: u32) {
    for (one, two) in [(Stop::Killed, Stop::Killed), (Stop::HeldUp, Stop::Killed), (Stop::HeldUp, Stop::HeldUp)] {
        for first in 0..points {
            let mut second = 0;
            while broken_off(store, parts, terminal, [Some((first, one)), Some((second, two))], false).await {
                second += 1;
            }
            assert!(second > 0);
        }
    }
}

pub fn three() -> Vec<Part> {
    ["reserve", "charge", "ship"].map(Part::new).into()
}

pub fn two_and_a_refusal() -> Vec<Part> {
    vec![
        Part::new("reserve"),
        Part { is_undoable: false, ..Part::new("rate") },
        Part::new("charge"),
        Part::refusing("ship"),
    ]
}

/// Makes the tests, on the stores that a function opens.
macro_rules! on_steps {
    ($open:path) => {
        #[tokio::test]
        async fn http_d02_a_run_broken_off_at_any_point_goes_on_at_its_last_recovery_point() {
            let (store, _alive) = $open().await;
            let (parts, done) = (crate::steps::crash::three(), crate::steps::order::Terminal::Done);
            let points = crate::steps::crash::at_every_point(&store, &parts, done).await;
            // Per step: before and after two writes and one call.
            assert_eq!(points, 3 * 6);
        }

        #[tokio::test]
        async fn a_compensation_broken_off_at_any_point_goes_on_where_it_stopped() {
            let (store, _alive) = $open().await;
            let (parts, undone) = (crate::steps::crash::two_and_a_refusal(), crate::steps::order::Terminal::Undone);
            let points = crate::steps::crash::at_every_point(&store, &parts, undone).await;
            // Three steps, one refused (its call has one point), two undone, one notice.
            assert_eq!(points, 3 * 6 + 5 + 2 * 6 + 6);
        }
    };
}
pub(super) use on_steps;

#[tokio::test]
async fn a_run_broken_off_at_any_two_points_has_each_effect_once() {
    let (store, ()) = super::in_memory().await;
    at_every_two_points(&store, &three(), Terminal::Done, 18).await;
}

#[tokio::test]
async fn a_compensation_broken_off_at_any_two_points_undoes_each_step_once() {
    let (store, ()) = super::in_memory().await;
    at_every_two_points(&store, &two_and_a_refusal(), Terminal::Undone, 41).await;
}
