//! What a reader has delivered, against what was written.

use std::{collections::BTreeSet, fmt};

/// What is wrong with what a reader has delivered.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Verdict {
    pub delivered: usize,
    /// Written and chosen, and not delivered.
    pub missed: usize,
    /// Delivered after one of a greater position.
    pub out_of_order: usize,
    /// Delivered more than once.
    pub twice: usize,
    /// Delivered and not there: taken back, or not chosen.
    pub foreign: usize,
}

impl Verdict {
    pub fn is_sound(&self) -> bool {
        *self == Self { delivered: self.delivered, ..Self::default() }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { delivered, missed, out_of_order, twice, foreign } = self;
        write!(
            f,
            "{delivered} delivered, {missed} missed, {out_of_order} out of order, {twice} twice, {foreign} foreign"
        )
    }
}

/// Judges the positions a reader has delivered, in its order.
pub fn judge(delivered: &[u64], written: &BTreeSet<u64>) -> Verdict {
    let distinct: BTreeSet<u64> = delivered.iter().copied().collect();
    let mut greatest = 0;
    let mut out_of_order = 0;
    for position in delivered {
        out_of_order += usize::from(*position < greatest);
        greatest = greatest.max(*position);
    }
    Verdict {
        delivered: delivered.len(),
        missed: written.difference(&distinct).count(),
        out_of_order,
        twice: delivered.len() - distinct.len(),
        foreign: distinct.difference(written).count(),
    }
}

#[test]
fn the_judge_sees_every_fault() {
    let written = BTreeSet::from([1, 2, 4, 5]);
    let of = |delivered: &[u64]| judge(delivered, &written);
    assert!(of(&[1, 2, 4, 5]).is_sound());
    let fault =
        |delivered, missed, out_of_order, twice, foreign| Verdict { delivered, missed, out_of_order, twice, foreign };
    for (delivered, expected) in [
        (&[1, 2, 5][..], fault(3, 1, 0, 0, 0)),
        (&[], fault(0, 4, 0, 0, 0)),
        (&[1, 4, 2, 5], fault(4, 0, 1, 0, 0)),
        (&[1, 2, 2, 4, 5], fault(5, 0, 0, 1, 0)),
        (&[1, 2, 4, 5, 1], fault(5, 0, 1, 1, 0)),
        (&[1, 2, 3, 4, 5], fault(5, 0, 0, 0, 1)),
    ] {
        assert_eq!(of(delivered), expected);
        assert!(!of(delivered).is_sound());
    }
}
