//! The events of one aggregate, one after another, and the snapshot taken on the way.

use serde::de::IgnoredAny;
use uuid::Uuid;

use super::{
    Finding, FindingKind, feed::EventItem, fold::Fold, log::Gaps, notes::Notes, scars::Scars, snapshot::Snapshot,
    types::Types,
};
use crate::store::{EventRef, event_checksum};

/// Places within its append that are tried for an event behind damage, where its own is not known.
const MOST_INDEXES_TRIED: u64 = 4_096;

/// Follows the events of one aggregate.
#[derive(Debug)]
pub(super) struct Stream {
    aggregate_id: Uuid,
    /// The sequence of the last row.
    version: u64,
    position: i64,
    aggregate_type: Option<String>,
    /// The last event is of the type of the first.
    is_of_type: bool,
    /// What is wrong with the type of the last event.
    strange: Option<String>,
    /// The last event whose checksum was found right: its command, and its place within its append.
    last_sound: Option<(Uuid, u32)>,
    /// Events since then: missing, damaged, or not to be told.
    unsound: u64,
    scars: Scars,
    snapshot: Option<Taken>,
}

/// A snapshot on its way to the event it was taken after.
#[derive(Debug)]
struct Taken {
    snapshot: Snapshot,
    fold: Option<usize>,
    /// Why its state could not be refolded.
    unfolded: Option<String>,
    is_refolded: bool,
    outcome: Outcome,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    NotReached,
    OtherEvent,
    OtherState,
    Sound,
}

impl Stream {
    pub(super) fn new(aggregate_id: Uuid, snapshot: Option<Snapshot>) -> Self {
        let taken =
            |snapshot| Taken { snapshot, fold: None, unfolded: None, is_refolded: false, outcome: Outcome::NotReached };
        Self {
            aggregate_id,
            version: 0,
            position: 0,
            aggregate_type: None,
            is_of_type: true,
            strange: None,
            last_sound: None,
            unsound: 0,
            scars: Scars::default(),
            snapshot: snapshot.map(taken),
        }
    }

    pub(super) const fn version(&self) -> u64 {
        self.version
    }

    pub(super) const fn position(&self) -> i64 {
        self.position
    }

    pub(super) const fn scars(&self) -> &Scars {
        &self.scars
    }

    /// Follows the next row.
    pub(super) fn follow(
        &mut self,
        item: &EventItem,
        (folds, types): (&mut [Box<dyn Fold>], &Types),
        gaps: &mut Gaps,
        notes: &mut Notes<'_>,
    ) {
        let Some(sequence) = u64::try_from(item.sequence).ok().filter(|sequence| *sequence > 0) else {
            let message = format!("an event of aggregate {} has sequence {}", self.aggregate_id, item.sequence);
            let finding = Finding::new(FindingKind::EventUnreadable, message).of(self.aggregate_id);
            notes.take(finding.in_log_at(item.position));
            return;
        };
        if sequence <= self.version {
            notes.take(self.finding(FindingKind::EventRepeated, (sequence, item.position), "is there more than once"));
            return;
        }
        self.miss_up_to((sequence, item.position), gaps, notes);
        if item.position <= self.position {
            let what = format!("does not stand behind the one before it, at position {}", self.position);
            notes.take(self.finding(FindingKind::PositionOrder, (sequence, item.position), &what));
        }
        (self.version, self.position) = (sequence, item.position);
        match &item.event {
            Ok(event) => self.follow_event(event.as_ref(), (folds, types), notes),
            Err(why) => {
                let what = format!("cannot be read: {why}");
                notes.take(self.finding(FindingKind::EventUnreadable, (sequence, item.position), &what));
                self.scar(sequence);
            }
        }
    }

    /// Says which events are missing before this one.
    fn miss_up_to(&mut self, (sequence, position): (u64, i64), gaps: &mut Gaps, notes: &mut Notes<'_>) {
        let (first, last) = (self.version + 1, sequence - 1);
        if first > last {
            return;
        }
        let message = match last - first {
            0 => format!("event {first} of aggregate {} is missing", self.aggregate_id),
            _ => format!("events {first} to {last} of aggregate {} are missing", self.aggregate_id),
        };
        notes.take(Finding::new(FindingKind::EventMissing, message).of(self.aggregate_id).at(first));
        gaps.add(self.position, position, last - first + 1);
        self.scars.add(first, last);
        self.unsound = self.unsound.saturating_add(last - first + 1);
    }

    fn follow_event(
        &mut self,
        event: EventRef<'_>,
        (folds, types): (&mut [Box<dyn Fold>], &Types),
        notes: &mut Notes<'_>,
    ) {
        self.check_type(&event, notes);
        let place = (event.sequence, event.position.get().cast_signed());
        if !self.is_sound(&event) {
            notes.take(self.finding(FindingKind::EventChecksum, place, "is damaged: its checksum does not match"));
            self.scar(event.sequence);
        } else {
            // What is damaged may be no JSON, and of any type.
            self.check_known(&event, types, notes);
            if let Some(what) = not_json(&event) {
                notes.take(self.finding(FindingKind::EventNotJson, place, what));
                self.scars.add(event.sequence, event.sequence);
            }
        }
        self.refold(event, folds);
    }

    /// One finding for each run of events whose type is wrong in the same way.
    fn check_known(&mut self, event: &EventRef<'_>, types: &Types, notes: &mut Notes<'_>) {
        // Of another aggregate type than the first: that was said.
        let Some((kind, what)) = types.wrong(event).filter(|_| self.is_of_type) else {
            self.strange = None;
            return;
        };
        if self.strange.as_ref() != Some(&what) {
            let place = (event.sequence, event.position.get().cast_signed());
            notes.take(self.finding(kind, place, &what));
            self.strange = Some(what);
        }
    }

    /// One finding for each run of events of another type.
    fn check_type(&mut self, event: &EventRef<'_>, notes: &mut Notes<'_>) {
        let of_first = self.aggregate_type.get_or_insert_with(|| event.aggregate_type.to_owned());
        let is_of_type = of_first == event.aggregate_type;
        if self.is_of_type && !is_of_type {
            let what = format!("is of type {:?}, the first one is of type {of_first:?}", event.aggregate_type);
            let place = (event.sequence, event.position.get().cast_signed());
            notes.take(self.finding(FindingKind::AggregateType, place, &what));
        }
        self.is_of_type = is_of_type;
    }

    /// Compares the checksum, which holds the event's place within its append.
    ///
    /// Behind a sound event that is known: the next of the same append or, where two appends of one command id stand
    /// side by side, the first. Behind damage it is one of several.
    fn is_sound(&mut self, event: &EventRef<'_>) -> bool {
        let next = self.last_sound.map_or(0, |(_, index)| u64::from(index) + 1);
        let beyond = next.saturating_add(self.unsound);
        let is_same = self.last_sound.is_some_and(|(command_id, _)| command_id == event.command_id);
        let is_index = |index: &u64| {
            let shape = (event.event_type, event.schema_version);
            u32::try_from(*index).is_ok_and(|index| {
                let EventRef { aggregate_id, command_id, payload, metadata, .. } = *event;
                event_checksum(aggregate_id, command_id, index, shape, payload, metadata) == event.checksum
            })
        };
        let found = match (self.unsound, is_same) {
            (0, true) => [next, 0].into_iter().find(is_index),
            (0, false) => [0].into_iter().find(is_index),
            _ => (0..=beyond.min(MOST_INDEXES_TRIED)).find(is_index),
        };
        match found.and_then(|index| u32::try_from(index).ok()) {
            Some(index) => {
                (self.last_sound, self.unsound) = (Some((event.command_id, index)), 0);
                true
            }
            // Too much is missing to tell; the events behind will.
            None if beyond > MOST_INDEXES_TRIED => {
                self.unsound = self.unsound.saturating_add(1);
                true
            }
            None => false,
        }
    }

    fn scar(&mut self, sequence: u64) {
        self.scars.add(sequence, sequence);
        self.unsound = self.unsound.saturating_add(1);
    }

    /// Folds the event, where a snapshot wants it, and compares the snapshot at its own.
    fn refold(&mut self, event: EventRef<'_>, folds: &mut [Box<dyn Fold>]) {
        let Some(taken) = self.snapshot.as_mut().filter(|taken| event.sequence <= taken.snapshot.sequence) else {
            return;
        };
        if event.sequence == 1 {
            let (aggregate_type, version) = (event.aggregate_type, taken.snapshot.snapshot_version);
            let mut kinds = folds.iter().map(|fold| (fold.aggregate_type(), fold.snapshot_version()));
            taken.fold = kinds.position(|kind| kind == (aggregate_type, version));
            taken.fold.into_iter().for_each(|at| folds[at].begin());
        }
        // What is damaged leads nowhere, and was said.
        let fold = taken.fold.filter(|_| self.scars.is_empty() && taken.unfolded.is_none()).map(|at| &mut folds[at]);
        if let Some(fold) = fold {
            taken.unfolded = fold.step(event).err().map(|error| error.to_string());
        }
        if event.sequence == taken.snapshot.sequence {
            taken.compare(&event, &self.scars, folds);
        }
    }

    /// Says what is wrong with the snapshot. `last_named`: the last event that a receipt names, were it missing.
    pub(super) fn finish(self, last_named: u64, notes: &mut Notes<'_>) {
        let Some(Taken { snapshot, unfolded, is_refolded, outcome, .. }) = self.snapshot else { return };
        let (id, at) = (self.aggregate_id, snapshot.sequence);
        notes.counts.refolds += u64::from(is_refolded);
        let (kind, what) = match outcome {
            Outcome::NotReached if at > self.version && at > last_named => {
                (FindingKind::SnapshotAhead, format!("is ahead: the aggregate is at version {}", self.version))
            }
            Outcome::OtherEvent => {
                (FindingKind::SnapshotEvent, "was taken after another event than that one".to_owned())
            }
            Outcome::OtherState => {
                let why = unfolded.unwrap_or_else(|| "it is not the state that the events lead to".to_owned());
                (FindingKind::SnapshotState, format!("cannot be trusted: {why}"))
            }
            Outcome::NotReached | Outcome::Sound => return,
        };
        let message = format!("the snapshot of aggregate {id} at event {at} {what}");
        notes.take(Finding::new(kind, message).of(id).at(at));
    }

    fn finding(&self, kind: FindingKind, (sequence, position): (u64, i64), what: &str) -> Finding {
        let message = format!("event {sequence} of aggregate {} at position {position} {what}", self.aggregate_id);
        Finding::new(kind, message).of(self.aggregate_id).at(sequence).in_log_at(position)
    }
}

/// What of an event is not JSON.
fn not_json(event: &EventRef<'_>) -> Option<&'static str> {
    let is_json = |text| serde_json::from_str::<IgnoredAny>(text).is_ok();
    match (is_json(event.payload), is_json(event.metadata)) {
        (true, true) => None,
        (false, true) => Some("has a payload that is not JSON, although its checksum matches"),
        (true, false) => Some("has metadata that is not JSON, although its checksum matches"),
        (false, false) => Some("has a payload and metadata that are not JSON, although its checksum matches"),
    }
}

impl Taken {
    /// Compares the snapshot at the event it was taken after.
    fn compare(&mut self, event: &EventRef<'_>, scars: &Scars, folds: &[Box<dyn Fold>]) {
        if scars.has(event.sequence) {
            return;
        }
        self.outcome = if event.checksum != self.snapshot.event_checksum {
            Outcome::OtherEvent
        } else if self.is_state(scars, folds) {
            Outcome::Sound
        } else {
            Outcome::OtherState
        };
    }

    fn is_state(&mut self, scars: &Scars, folds: &[Box<dyn Fold>]) -> bool {
        let Some(fold) = self.fold.filter(|_| scars.is_empty()).and_then(|at| folds.get(at)) else {
            return true;
        };
        self.is_refolded = true;
        if self.unfolded.is_some() {
            return false;
        }
        fold.is_state(&self.snapshot.state).unwrap_or_else(|error| {
            self.unfolded = Some(format!("its refold is not JSON: {error}"));
            false
        })
    }
}
