//! Sequences of one aggregate at which something was found already.

/// Ranges kept: with more than these there is little left to be told apart.
const MOST_RANGES: usize = 1_024;

/// Keeps sequences whose event is missing or damaged, so that what follows from that is not reported as well.
#[derive(Debug, Default)]
pub(super) struct Scars {
    /// First and last, in rising order, apart from one another.
    ranges: Vec<(u64, u64)>,
}

impl Scars {
    /// Adds a range behind all others.
    pub(super) fn add(&mut self, first: u64, last: u64) {
        let has_room = self.ranges.len() < MOST_RANGES;
        match self.ranges.last_mut() {
            Some((_, before)) if before.saturating_add(1) >= first => *before = last.max(*before),
            _ if has_room => self.ranges.push((first, last)),
            _ => {}
        }
    }

    /// The first sequence from this one on that bears no scar.
    pub(super) fn skip(&self, sequence: u64) -> u64 {
        let at = self.ranges.partition_point(|(_, last)| *last < sequence);
        match self.ranges.get(at) {
            Some((first, last)) if *first <= sequence => last.saturating_add(1),
            _ => sequence,
        }
    }

    pub(super) fn has(&self, sequence: u64) -> bool {
        self.skip(sequence) != sequence
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::{MOST_RANGES, Scars};

    #[test]
    fn scars_are_skipped_and_bounded() {
        let mut scars = Scars::default();
        for (first, last) in [(2, 3), (4, 4), (7, 9)] {
            scars.add(first, last);
        }
        assert_eq!([1, 2, 4, 5, 7, 9, 10].map(|sequence| scars.skip(sequence)), [1, 5, 5, 5, 10, 10, 10]);
        for number in 10..10_000 {
            scars.add(number * 2, number * 2);
        }
        assert_eq!(scars.ranges.len(), MOST_RANGES);
    }
}
