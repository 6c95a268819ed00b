//! How long batches take and how large they are, and what follows for the next.

use std::time::Duration;

use super::tuning::{
    APPEND_SECONDS, APPEND_SECONDS_AT_LEAST, APPEND_SECONDS_AT_MOST, BATCH_WEIGHT, LONGEST_WAIT, MOSTLY_WAITING,
    SLOPE_VARIANCE, SLOPE_WEIGHT, SLOW_BATCH_APPENDS, WORTH_WAITING,
};

/// Moving averages of the batches that were written.
#[derive(Debug, Default)]
pub(super) struct Pace {
    seconds: Average,
    work: Average,
    slope: Slope,
}

impl Pace {
    /// Learns from a batch with so much work, that of an append of one event being 1.
    pub(super) fn record(&mut self, work: usize, took: Duration) {
        let (work, seconds) = (work as f64, took.as_secs_f64());
        self.seconds.add(seconds, BATCH_WEIGHT);
        self.work.add(work, BATCH_WEIGHT);
        self.slope.add(work, seconds);
    }

    /// The time of a batch.
    pub(super) fn time(&self) -> Duration {
        Duration::try_from_secs_f64(self.seconds.value).unwrap_or_default()
    }

    /// Even few callers gain from sharing batches as slow as these.
    pub(super) fn is_slow(&self) -> bool {
        self.seconds.value >= SLOW_BATCH_APPENDS * self.slope.append_seconds()
    }

    /// A batch mostly waits, for the disk, rather than works.
    pub(super) fn is_mostly_waiting(&self) -> bool {
        self.exceeds_its_work(MOSTLY_WAITING)
    }

    /// How long to wait for appends that are expected; `None`: it is not worth it.
    pub(super) fn patience(&self) -> Option<Duration> {
        self.exceeds_its_work(WORTH_WAITING).then(|| (self.time() / 2).min(LONGEST_WAIT))
    }

    fn exceeds_its_work(&self, times: f64) -> bool {
        self.seconds.value > times * self.slope.append_seconds() * self.work.value
    }
}

/// An average in which what came last weighs most.
#[derive(Debug, Default, Clone, Copy)]
struct Average {
    value: f64,
    count: f64,
}

impl Average {
    fn add(&mut self, value: f64, weight: f64) {
        // The first ones have equal parts in it, whatever it began with.
        self.count += 1.0;
        self.value += (value - self.value) * weight.max(1.0 / self.count);
    }
}

/// What one append more, of one event, costs a batch: the slope of time over work, by least squares.
#[derive(Debug, Default)]
struct Slope {
    work: Average,
    seconds: Average,
    squares: Average,
    products: Average,
    /// The last slope that could be told.
    told: Option<f64>,
}

impl Slope {
    fn add(&mut self, work: f64, seconds: f64) {
        self.work.add(work, SLOPE_WEIGHT);
        self.seconds.add(seconds, SLOPE_WEIGHT);
        self.squares.add(work * work, SLOPE_WEIGHT);
        self.products.add(work * seconds, SLOPE_WEIGHT);
        let variance = self.squares.value - self.work.value * self.work.value;
        // From a few batches, or from batches of one size, no slope can be told.
        if self.work.count * SLOPE_WEIGHT >= 1.0 && variance >= SLOPE_VARIANCE {
            let slope = (self.products.value - self.work.value * self.seconds.value) / variance;
            self.told = Some(slope.clamp(APPEND_SECONDS_AT_LEAST, APPEND_SECONDS_AT_MOST));
        }
    }

    fn append_seconds(&self) -> f64 {
        self.told.unwrap_or(APPEND_SECONDS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(batches: impl IntoIterator<Item = (usize, u64)>) -> Pace {
        let mut pace = Pace::default();
        for (appends, micros) in batches {
            pace.record(appends, Duration::from_micros(micros));
        }
        pace
    }

    /// The times that were measured, where an append more costs what it cost there.
    #[test]
    fn the_thresholds_are_those_that_were_measured() {
        let many = |batch| after(std::iter::repeat_n(batch, 200));
        assert!(!many((1, 990)).is_slow() && many((1, 1_010)).is_slow());
        assert!(many((10, 610)).is_mostly_waiting() && !many((10, 590)).is_mostly_waiting());
        assert!(many((10, 810)).patience().is_some() && many((10, 790)).patience().is_none());
    }

    #[test]
    fn before_anything_was_measured_nothing_is_slow_and_nothing_is_waited_for() {
        let pace = Pace::default();
        assert!(!pace.is_slow() && !pace.is_mostly_waiting() && pace.patience().is_none());
    }

    #[test]
    fn the_wait_is_half_a_batch_and_bounded() {
        assert_eq!(after([(1, 400)]).patience(), Some(Duration::from_micros(200)));
        assert_eq!(after([(1, 60_000_000)]).patience(), Some(LONGEST_WAIT));
    }

    /// On a machine twice as slow everything is twice as long: the same batches are judged in the same way.
    #[test]
    fn the_thresholds_follow_what_an_append_costs() {
        let at = |append_micros: u64, fixed: u64| {
            let sizes = (0..300).map(|batch| 1 + batch * 7 % 19);
            after(sizes.map(|appends| (appends, fixed + append_micros * appends as u64)))
        };
        // Ten appends on the average: a threshold of 40 appends' work, of which 10 are theirs.
        for append_micros in [10, 15, 30] {
            let pace = at(append_micros, 40 * append_micros);
            assert!(pace.is_mostly_waiting(), "{pace:?}");
            let pace = at(append_micros, 20 * append_micros);
            assert!(!pace.is_mostly_waiting(), "{pace:?}");
        }
        // But not for ever: a slope that makes no sense moves them by so much and no more.
        let pace = after((0..300).map(|batch| (1 + batch % 19, 1_000_000 * (1 + batch % 19) as u64)));
        assert!((pace.slope.append_seconds() - APPEND_SECONDS_AT_MOST).abs() < 1e-9);
    }

    #[test]
    fn the_averages_forget() {
        let mut pace = after(std::iter::repeat_n((1, 5_000), 50));
        assert!(pace.is_slow());
        for _ in 0..30 {
            pace.record(1, Duration::from_micros(100));
        }
        assert!(!pace.is_slow(), "{pace:?}");
    }
}
