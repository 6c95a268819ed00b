//! A horizon that stands still: since when, and when it is time to say so.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::store::Position;

/// Notes when the horizon was first seen where it stands.
///
/// It need not be looked at all the time. A horizon that is seen twice at one place below the last position drawn has
/// stood there in between: whoever begins to write after the first look is bound to a greater position.
#[derive(Debug)]
pub(super) struct Stall {
    /// How long it may stand before something is said.
    after: Duration,
    standing: Mutex<Option<Standing>>,
}

#[derive(Debug)]
struct Standing {
    at: Position,
    since: Instant,
    /// Doubles whenever something was said.
    say_after: Duration,
    was_told: bool,
}

/// What a look at the horizon has shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    /// It moves, or there is nothing above it.
    Moving,
    /// It stands, and nothing is to be said; for so long, where something was said before.
    Standing(Option<Duration>),
    /// It has stood for so long, and that is to be said.
    Stalled(Duration),
    /// It goes on after it was said that it stands.
    GoesOn(Duration),
}

impl Stall {
    pub(super) fn new(after: Duration) -> Self {
        Self { after: after.max(Duration::from_millis(1)), standing: Mutex::default() }
    }

    /// Takes note of the horizon and of the last position drawn.
    pub(super) fn observe(&self, horizon: Position, last_drawn: Position, now: Instant) -> Seen {
        let mut standing = self.standing.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = standing.as_mut() {
            let time = now.saturating_duration_since(known.since);
            if known.at == horizon && horizon < last_drawn {
                if time < known.say_after {
                    return Seen::Standing(known.was_told.then_some(time));
                }
                known.say_after = time.saturating_mul(2);
                known.was_told = true;
                return Seen::Stalled(time);
            }
            if horizon < known.at {
                // Seen by a look that began earlier than the one before.
                return Seen::Standing(None);
            }
            if standing.take_if(|known| known.was_told).is_some() {
                self.enter(&mut standing, horizon, last_drawn, now);
                return Seen::GoesOn(time);
            }
        }
        self.enter(&mut standing, horizon, last_drawn, now);
        Seen::Moving
    }

    fn enter(&self, standing: &mut Option<Standing>, at: Position, last_drawn: Position, now: Instant) {
        let is_held = at < last_drawn;
        *standing = is_held.then_some(Standing { at, since: now, say_after: self.after, was_told: false });
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{Seen, Stall};
    use crate::store::Position;

    #[test]
    fn a_horizon_that_stands_is_told_of_after_a_while_then_ever_more_rarely_and_once_when_it_goes_on() {
        let (stall, begin) = (Stall::new(Duration::from_secs(5)), Instant::now());
        let see = |horizon, last_drawn, second| {
            stall.observe(Position::new(horizon), Position::new(last_drawn), begin + Duration::from_secs(second))
        };
        let stalled = |seconds| Seen::Stalled(Duration::from_secs(seconds));
        let standing = |seconds| Seen::Standing(Some(Duration::from_secs(seconds)));
        // With nothing above it, it may stand for ever.
        assert_eq!([see(7, 7, 0), see(7, 7, 100)], [Seen::Moving, Seen::Moving]);
        assert_eq!([see(7, 9, 100), see(7, 9, 104), see(7, 20, 105)], [Seen::Moving, Seen::Standing(None), stalled(5)]);
        assert_eq!([see(7, 20, 109), see(7, 21, 110)], [standing(9), stalled(10)]);
        // Looks that overtake one another say nothing.
        assert_eq!(see(6, 21, 111), Seen::Standing(None));
        assert_eq!([see(7, 22, 119), see(7, 22, 120), see(7, 22, 121)], [standing(19), stalled(20), standing(21)]);
        assert_eq!([see(9, 22, 131), see(9, 22, 135)], [Seen::GoesOn(Duration::from_secs(31)), Seen::Standing(None)]);
        assert_eq!([see(22, 22, 140), see(22, 23, 200)], [Seen::Moving, Seen::Moving]);
    }
}
