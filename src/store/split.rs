//! What all partitions of a name come to, when it is split anew or swapped.

use chrono::{DateTime, Utc};

use super::{Checkpoint, ConsumerKind, Cursor, Error, Lease, check_moves};

/// Where all partitions of a subscription go on after it was split anew.
#[derive(Debug)]
pub(crate) struct Split {
    /// Where the last of the old ones stands.
    pub(crate) cursor: Cursor,
    /// Greater than any fence before.
    pub(crate) fence: u64,
    /// Paused where any was.
    pub(crate) paused_at: Option<DateTime<Utc>>,
}

impl Split {
    /// Finds it from the checkpoints of a name; `None` where there are none.
    pub(crate) fn of(partitions: &[Checkpoint]) -> Result<Option<Self>, Error> {
        let Some(last) = partitions.iter().min_by_key(|checkpoint| checkpoint.cursor.position) else {
            return Ok(None);
        };
        let (name, of) = (last.consumer.name(), last.consumer.of());
        if partitions.iter().any(|checkpoint| checkpoint.kind != ConsumerKind::Subscription) {
            return Err(Error::invalid(format!(
                "{name} is a projection: only subscriptions are split into partitions"
            )));
        }
        // Where it would begin is known to its runner alone; where the others stand is too far.
        if partitions.len() < of as usize {
            let missing = of as usize - partitions.len();
            return Err(Error::invalid(format!(
                "{missing} of the {of} partitions of {name} have never run: run each once, or forget {name}"
            )));
        }
        Ok(Some(Self::at(last.cursor, partitions)))
    }

    /// Where they go on after it was moved to another place; `None` where there are none.
    pub(crate) fn reset(partitions: &[Checkpoint], to: &Cursor) -> Result<Option<Self>, Error> {
        check_moves(partitions)?;
        Ok((!partitions.is_empty()).then(|| Self::at(*to, partitions)))
    }

    fn at(cursor: Cursor, partitions: &[Checkpoint]) -> Self {
        let greatest = partitions.iter().map(|checkpoint| checkpoint.fence).max().unwrap_or_default();
        let paused_at = partitions.iter().filter_map(|checkpoint| checkpoint.paused_at).min();
        Self { cursor, fence: greatest + 1, paused_at }
    }
}

impl Checkpoint {
    /// Tells whether this lease is the one that holds it.
    pub(crate) fn is_held_by(&self, lease: &Lease) -> bool {
        self.fence == lease.fence && self.lease.is_some()
    }

    /// Makes sure that a rebuild stands where this checkpoint stands: what is shown then fits it.
    pub(crate) fn check_level_with(&self, rebuilt: &Self) -> Result<(), Error> {
        let (here, there) = (self.cursor.position, rebuilt.cursor.position);
        if here == there {
            return Ok(());
        }
        let name = self.consumer.name();
        Err(Error::invalid(format!(
            "{name} stands at {here}, what was built anew at {there}: it cannot be swapped yet"
        )))
    }
}
