//! What the receipts of one aggregate say, against its events.

use std::collections::HashMap;

use uuid::Uuid;
use xxhash_rust::xxh3::xxh3_64;

use super::{Finding, FindingKind, notes::Notes, receipt::Claim, scars::Scars};

/// Parts are halved so often at the most; then no two commands are left in one.
const MOST_HALVINGS: u32 = 32;

/// Names a part of an aggregate's commands: those whose hash ends in these bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Part {
    halvings: u32,
    bits: u64,
}

impl Part {
    fn has(self, command_id: Uuid) -> bool {
        let mask = (1 << self.halvings) - 1;
        xxh3_64(command_id.as_bytes()) & mask == self.bits
    }

    fn halves(self) -> [Self; 2] {
        let halvings = self.halvings + 1;
        [Self { halvings, ..self }, Self { halvings, bits: self.bits | 1 << self.halvings }]
    }
}

/// Keeps the claims of one part of an aggregate's receipts, while its events go by.
///
/// Receipts come in the order of their keys and events in that of sequences; so the receipts are kept and the events
/// looked up among them. Where there are too many, half of them, by the hash of their commands, is left for another
/// reading of the same aggregate.
#[derive(Debug)]
pub(super) struct Claims {
    aggregate_id: Uuid,
    most: usize,
    part: Part,
    postponed: Vec<Part>,
    by_command: HashMap<Uuid, Command>,
    count: usize,
}

/// The receipts of one command: more than one only where a caller gave it to several.
#[derive(Debug, Default)]
struct Command {
    claims: Vec<Held>,
    /// The first event that no receipt names: sequence and position.
    stray: Option<(u64, i64)>,
}

#[derive(Debug)]
struct Held {
    claim: Claim,
    /// Its first event that was not seen yet.
    next: u64,
}

impl Claims {
    pub(super) fn new(aggregate_id: Uuid, part: Part, most: usize) -> Self {
        Self { aggregate_id, most, part, postponed: Vec::new(), by_command: HashMap::new(), count: 0 }
    }

    /// The parts that were left for another reading.
    pub(super) fn take_postponed(&mut self) -> Vec<Part> {
        std::mem::take(&mut self.postponed)
    }

    pub(super) fn add(&mut self, claim: Claim, notes: &mut Notes<'_>) {
        if !self.part.has(claim.command_id) {
            return;
        }
        while self.count >= self.most {
            if self.part.halvings >= MOST_HALVINGS {
                let (id, command_id) = (self.aggregate_id, claim.command_id);
                let message =
                    format!("command {command_id} at aggregate {id} has more than {} receipts, too many", self.most);
                notes.take(Finding::new(FindingKind::CommandRepeated, message).of(id).by(command_id));
                return;
            }
            let [part, postponed] = self.part.halves();
            self.part = part;
            self.postponed.push(postponed);
            self.by_command.retain(|command_id, _| part.has(*command_id));
            let kept = self.by_command.values().map(|command| command.claims.len()).sum();
            notes.released(self.count - kept);
            self.count = kept;
        }
        if self.part.has(claim.command_id) {
            let next = claim.first;
            self.by_command.entry(claim.command_id).or_default().claims.push(Held { claim, next });
            self.count += 1;
            notes.holds(1);
        }
    }

    /// Looks up the next event.
    pub(super) fn meet(&mut self, (sequence, position): (u64, i64), command_id: Uuid, scars: &Scars) {
        let Some(command) = self.by_command.get_mut(&command_id) else { return };
        let mut is_named = false;
        for held in command.claims.iter_mut().filter(|held| held.claim.names(sequence)) {
            is_named = true;
            if scars.skip(held.next) == sequence || held.next == sequence {
                held.next = sequence + 1;
            }
        }
        // A key that ends may have been used before: of that request only the events are left.
        let is_earlier = command.claims.iter().all(|held| sequence < held.claim.first)
            && command.claims.iter().any(|held| held.claim.expires);
        if !is_named && !is_earlier {
            command.stray.get_or_insert((sequence, position));
        }
    }

    /// Says what does not fit, once all events were met. Returns the last event that a receipt names.
    pub(super) fn finish(mut self, version: u64, scars: &Scars, notes: &mut Notes<'_>) -> u64 {
        let mut last_named = 0;
        notes.released(self.count);
        let mut wrong = Vec::new();
        for (command_id, command) in self.by_command.drain() {
            let before = wrong.len();
            for Held { claim, next } in &command.claims {
                if claim.has_events() {
                    last_named = last_named.max(claim.last);
                }
                wrong.extend(misfit(self.aggregate_id, claim, *next, version, scars));
            }
            // What a receipt with another range has left over is no second finding.
            if let Some(stray) = command.stray.filter(|_| wrong.len() == before) {
                wrong.push(strayed(self.aggregate_id, command_id, &command, stray));
            }
        }
        wrong.sort_by_key(|finding| (finding.sequence, finding.command_id));
        wrong.into_iter().for_each(|finding| notes.take(finding));
        last_named
    }
}

/// What is wrong with a receipt whose events were all looked for.
fn misfit(aggregate_id: Uuid, claim: &Claim, next: u64, version: u64, scars: &Scars) -> Option<Finding> {
    let Claim { command_id, first, last, .. } = *claim;
    let finding = |kind, sequence, what: String| {
        let message = format!("the receipt of command {command_id} at aggregate {aggregate_id} {what}");
        Some(Finding::new(kind, message).of(aggregate_id).by(command_id).at(sequence))
    };
    if last > version {
        let what = format!("speaks of version {last}, but the aggregate is at version {version}");
        return finding(FindingKind::ReceiptAhead, version + 1, what);
    }
    if claim.has_events() && claim.is_rejected {
        return finding(
            FindingKind::RejectionEvents,
            first,
            format!("says rejected, but names events {first} to {last}"),
        );
    }
    let next = scars.skip(next);
    if claim.has_events() && next <= last {
        let what = format!("names events {first} to {last}, but event {next} does not bear its command id");
        return finding(FindingKind::ReceiptEvents, next, what);
    }
    None
}

fn strayed(aggregate_id: Uuid, command_id: Uuid, command: &Command, (sequence, position): (u64, i64)) -> Finding {
    let (kind, what) = if command.claims.iter().any(|held| held.claim.is_rejected) {
        (FindingKind::RejectionEvents, "although its receipt says rejected")
    } else {
        (FindingKind::CommandRepeated, "which no receipt of that command names")
    };
    let message = format!(
        "event {sequence} of aggregate {aggregate_id} at position {position} is by command {command_id}, {what}"
    );
    Finding::new(kind, message).of(aggregate_id).at(sequence).in_log_at(position).by(command_id)
}
