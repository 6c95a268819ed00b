//! Leaves Redis alone for a while after it has failed several times in a row.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Counts failures in a row; shared by all who ask.
#[derive(Debug)]
pub(super) struct Breaker {
    failures: u32,
    pause: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    failed: u32,
    /// Until when Redis is left alone; afterwards one asks, and all others wait for what comes of it.
    open_until: Option<Instant>,
    is_probed: bool,
}

/// May ask Redis, and says afterwards how it went. Dropped without a word, it has failed nobody.
#[derive(Debug)]
pub(super) struct Permit<'b> {
    breaker: &'b Breaker,
    is_probe: bool,
    is_told: bool,
}

impl Breaker {
    pub(super) fn new(failures: u32, pause: Duration) -> Self {
        Self { failures, pause, state: Mutex::default() }
    }

    /// Whether Redis may be asked now.
    pub(super) fn permit(&self, now: Instant) -> Option<Permit<'_>> {
        let mut state = self.state();
        let is_probe = match state.open_until {
            None => false,
            Some(until) if now < until || state.is_probed => return None,
            Some(_) => true,
        };
        state.is_probed |= is_probe;
        Some(Permit { breaker: self, is_probe, is_told: false })
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permit<'_> {
    /// Redis has answered. `true`: it is asked again, after a pause.
    pub(super) fn answered(mut self) -> bool {
        self.is_told = true;
        let mut state = self.breaker.state();
        let was_open = state.open_until.is_some();
        if self.is_probe || !was_open {
            *state = State::default();
        }
        was_open && self.is_probe
    }

    /// Redis has failed. `true`: with this it is left alone.
    pub(super) fn failed(mut self, now: Instant) -> bool {
        self.is_told = true;
        let mut state = self.breaker.state();
        state.failed = state.failed.saturating_add(1);
        if self.is_probe {
            state.is_probed = false;
            state.open_until = Some(now + self.breaker.pause);
            return false;
        }
        let opens = state.open_until.is_none() && state.failed >= self.breaker.failures;
        if opens {
            state.open_until = Some(now + self.breaker.pause);
        }
        opens
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if self.is_probe && !self.is_told {
            self.breaker.state().is_probed = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::Breaker;

    const PAUSE: Duration = Duration::from_secs(1);

    #[test]
    fn failures_in_a_row_open_it_and_one_probe_closes_it() {
        let (breaker, now) = (Breaker::new(2, PAUSE), Instant::now());
        assert!(!breaker.permit(now).unwrap().failed(now));
        assert!(!breaker.permit(now).unwrap().answered(), "one answer and the row is broken");
        assert!(!breaker.permit(now).unwrap().failed(now));
        assert!(breaker.permit(now).unwrap().failed(now));
        assert!(breaker.permit(now + PAUSE / 2).is_none());
        let probe = breaker.permit(now + PAUSE).unwrap();
        assert!(breaker.permit(now + PAUSE).is_none(), "one probe at a time");
        assert!(!probe.failed(now + PAUSE));
        assert!(breaker.permit(now + PAUSE).is_none(), "a failed probe opens it anew");
        drop(breaker.permit(now + 2 * PAUSE).unwrap());
        assert!(breaker.permit(now + 2 * PAUSE).unwrap().answered(), "a probe that was dropped is taken up by another");
        assert!(breaker.permit(now + 2 * PAUSE).is_some());
    }

    #[test]
    fn an_answer_that_was_under_way_does_not_close_it() {
        let (breaker, now) = (Breaker::new(1, PAUSE), Instant::now());
        let (late, failing) = (breaker.permit(now).unwrap(), breaker.permit(now).unwrap());
        assert!(failing.failed(now));
        assert!(!late.answered());
        assert!(breaker.permit(now).is_none());
    }
}
