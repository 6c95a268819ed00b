//! Tells those who wait that a checkpoint was moved.

use tokio::sync::watch;

/// Counts the commits that moved a checkpoint.
#[derive(Debug)]
pub(crate) struct Moves(watch::Sender<u64>);

impl Moves {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(0))
    }

    /// Notes a commit that moved a checkpoint, or may have: whoever waits looks.
    pub(crate) fn note(&self) {
        self.0.send_modify(|moves| *moves = moves.wrapping_add(1));
    }

    /// Notes one where the answer says so, or where nobody knows.
    pub(crate) fn note_if(&self, moved: &Result<bool, super::Error>) {
        if matches!(moved, Ok(true) | Err(super::Error::OutcomeUnknown { .. })) {
            self.note();
        }
    }

    /// Waits until there were others than those that were seen.
    pub(crate) async fn others_than(&self, seen: &mut u64) {
        let mut receiver = self.0.subscribe();
        // The sender is borrowed: it cannot go away meanwhile.
        if let Ok(moves) = receiver.wait_for(|moves| *moves != *seen).await {
            *seen = *moves;
        }
    }
}
