//! What an answer has to carry that its lease does not say.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Instant,
};

use crate::store::Fingerprint;

/// How many claims are remembered. Beyond that the answers to the oldest are stored when they are first asked for again.
const CLAIMS: usize = 8_192;

/// A claim of this process that has no answer yet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Note {
    pub(super) fingerprint: Fingerprint,
    pub(super) recipe: u16,
    /// When it was first tried to complete it. A lost reply may have been a success: kept from then on, not from the
    /// repetition on.
    pub(super) completed_from: Option<Instant>,
}

/// Claims by their fences, which are never given twice.
#[derive(Debug, Default)]
pub(super) struct Notes(Mutex<BTreeMap<u64, Note>>);

impl Notes {
    /// Remembers a claim.
    pub(super) fn claimed(&self, fence: u64, fingerprint: Fingerprint, recipe: u16) {
        let mut notes = self.notes();
        notes.insert(fence, Note { fingerprint, recipe, completed_from: None });
        if notes.len() > CLAIMS {
            notes.pop_first();
        }
    }

    /// A claim is being completed: what is known of it.
    pub(super) fn completing(&self, fence: u64, now: Instant) -> Option<Note> {
        let mut notes = self.notes();
        let note = notes.get_mut(&fence)?;
        note.completed_from.get_or_insert(now);
        Some(*note)
    }

    /// Nothing more will come of a claim.
    pub(super) fn forget(&self, fence: u64) {
        self.notes().remove(&fence);
    }

    fn notes(&self) -> std::sync::MutexGuard<'_, BTreeMap<u64, Note>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{CLAIMS, Notes};
    use crate::store::Fingerprint;

    #[test]
    fn a_repeated_completion_counts_from_the_first() {
        let (notes, now) = (Notes::default(), Instant::now());
        notes.claimed(7, Fingerprint::of_parts(&[b"a"]), 1);
        notes.completing(7, now).unwrap();
        assert_eq!(notes.completing(7, now + Duration::from_secs(1)).unwrap().completed_from, Some(now));
        notes.forget(7);
        assert!(notes.completing(7, now).is_none());
    }

    #[test]
    fn the_oldest_claims_are_forgotten() {
        let notes = Notes::default();
        for fence in 1..=CLAIMS as u64 + 1 {
            notes.claimed(fence, Fingerprint::of_parts(&[]), 1);
        }
        assert!(notes.completing(1, Instant::now()).is_none());
        assert!(notes.completing(2, Instant::now()).is_some());
    }
}
