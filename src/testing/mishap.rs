//! What can befall an append, and how often.

use crate::store::Error;

/// What befalls an append.
#[derive(Debug, Clone)]
pub(super) enum Mishap {
    LostReply,
    LostRequest,
    LateWrite,
    Conflict,
    Contention,
    Outage,
    /// Answered with this error, and not written.
    Refused(Error),
}

/// How often each mishap befalls an append.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Rates {
    pub(super) lost_replies: f64,
    pub(super) lost_requests: f64,
    pub(super) late_writes: f64,
    pub(super) conflicts: f64,
    pub(super) contention: f64,
    pub(super) outages: f64,
}

impl Rates {
    /// The mishap that a throw of the dice, from 0 up to but not including 1, stands for.
    pub(super) fn mishap(&self, throw: f64) -> Option<Mishap> {
        let mut up_to = 0.0;
        self.all().into_iter().find_map(|(rate, mishap)| {
            up_to += rate;
            (throw < up_to).then_some(mishap)
        })
    }

    /// Checks that each rate is a rate, and that they leave room for one another.
    #[track_caller]
    pub(super) fn check(&self) {
        let rates = self.all().map(|(rate, _)| rate);
        assert!(rates.iter().all(|rate| (0.0..=1.0).contains(rate)), "a rate is between 0 and 1: {self:?}");
        // A little more than 1, for sums such as 0.1 + 0.2 + 0.7.
        assert!(rates.iter().sum::<f64>() <= 1.0 + 1e-9, "all rates together are at most 1: {self:?}");
    }

    const fn all(&self) -> [(f64, Mishap); 6] {
        [
            (self.lost_replies, Mishap::LostReply),
            (self.lost_requests, Mishap::LostRequest),
            (self.late_writes, Mishap::LateWrite),
            (self.conflicts, Mishap::Conflict),
            (self.contention, Mishap::Contention),
            (self.outages, Mishap::Outage),
        ]
    }
}
