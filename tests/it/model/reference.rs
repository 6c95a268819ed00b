//! The reference: what a store has promised, in as few lines as can say it.

use std::collections::HashMap;

use annals::{Append, Appended, ExpectedVersion, Fingerprint, NewEvent, Position, ReceiptOutcome, RecordedEvent};
use chrono::{DateTime, Duration, Utc};
use uuid::Uuid;

/// An error, as far as it is promised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    Conflict {
        expected: ExpectedVersion,
        actual: u64,
    },
    KeyReused,
    Invalid,
    /// Only of a store that fails on purpose.
    Unknown,
}

#[derive(Debug, Clone)]
pub struct Written {
    pub aggregate_id: Uuid,
    pub aggregate_type: String,
    pub sequence: u64,
    pub position: u64,
    pub command_id: Uuid,
    pub event: NewEvent,
    pub metadata: String,
    pub recorded_at: DateTime<Utc>,
    /// The first sequence of the append it came with, and how many came.
    pub append: (u64, usize),
}

#[derive(Debug, Clone)]
pub struct Kept {
    pub request: Request,
    pub answer: Appended,
    pub command_id: Uuid,
    pub expires_at: Option<DateTime<Utc>>,
}

/// What tells one request from another under a key.
#[derive(Debug, Clone, PartialEq)]
pub enum Request {
    Fingerprint(Fingerprint),
    Content(Vec<NewEvent>, String),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Key {
    Client(String),
    Command(Uuid),
}

#[derive(Debug)]
pub struct Reference {
    pub log: Vec<Written>,
    pub receipts: HashMap<(Uuid, Key), Kept>,
    pub now: DateTime<Utc>,
    base: u64,
}

impl Reference {
    pub fn new(now: DateTime<Utc>, base: u64) -> Self {
        Self { log: Vec::new(), receipts: HashMap::new(), now, base }
    }

    pub fn stream(&self, aggregate_id: Uuid) -> impl Iterator<Item = &Written> {
        self.log.iter().filter(move |event| event.aggregate_id == aggregate_id)
    }

    pub fn version(&self, aggregate_id: Uuid) -> u64 {
        self.stream(aggregate_id).count() as u64
    }

    pub fn sum(&self, aggregate_id: Uuid) -> u64 {
        let by =
            |event: &Written| serde_json::from_str::<serde_json::Value>(event.event.payload()).unwrap()["by"].as_u64();
        self.stream(aggregate_id).map(|event| by(event).unwrap()).sum()
    }

    /// Takes the positions that the database has given, which rise within an aggregate.
    pub fn learn_positions(&mut self, stream: &[RecordedEvent]) {
        assert!(stream.is_sorted_by(|one, next| one.position() < next.position()), "{stream:?}");
        for stored in stream {
            let is_it = |event: &&mut Written| {
                (event.aggregate_id, event.sequence) == (stored.aggregate_id(), stored.sequence())
            };
            self.log.iter_mut().find(is_it).unwrap().position = stored.position().get();
        }
        let mut receipts = std::mem::take(&mut self.receipts);
        for ((aggregate_id, _), kept) in &mut receipts {
            self.place(*aggregate_id, &mut kept.answer);
        }
        self.receipts = receipts;
    }

    pub fn position(&self, aggregate_id: Uuid, version: u64) -> Option<Position> {
        let last = self.stream(aggregate_id).find(|event| event.sequence == version);
        last.map(|event| Position::new(event.position))
    }

    /// Sets the position of an answer to what is known now.
    pub fn place(&self, aggregate_id: Uuid, answer: &mut Appended) {
        answer.position = answer.position.and_then(|_| self.position(aggregate_id, answer.version));
    }

    /// The receipt under a key, unless it has expired.
    pub fn receipt(&self, aggregate_id: Uuid, key: &Key) -> Option<&Kept> {
        let kept = self.receipts.get(&(aggregate_id, key.clone()))?;
        kept.expires_at.is_none_or(|end| end > self.now).then_some(kept)
    }

    /// Answers an append, and writes it where it is to be written.
    pub fn append(&mut self, append: &Append) -> Result<Appended, Refusal> {
        let is_rejection = append.outcome != ReceiptOutcome::Accepted;
        let has_key = append.key.is_some();
        if (append.events.is_empty() && !has_key) || (is_rejection && (!has_key || !append.events.is_empty())) {
            return Err(Refusal::Invalid);
        }
        let key = Self::key_of(append);
        let request = Self::request_of(append);
        // The receipt, then what an earlier attempt has written, then the version.
        if let Some(kept) = key.as_ref().and_then(|key| self.receipt(append.aggregate_id, key)) {
            let same = kept.request == request;
            return if same { Ok(replayed(&kept.answer)) } else { Err(Refusal::KeyReused) };
        }
        if let Some(answer) = self.answer_of_earlier_attempt(append) {
            return answer;
        }
        if self.stream(append.aggregate_id).any(|event| event.aggregate_type != append.aggregate_type) {
            return Err(Refusal::Invalid);
        }
        let actual = self.version(append.aggregate_id);
        let last = self.stream(append.aggregate_id).last().map(|event| event.command_id);
        if !append.expected.holds_at(actual) || append.follows.is_some_and(|follows| Some(follows) != last) {
            return Err(Refusal::Conflict { expected: append.expected, actual });
        }
        let answer = self.write(append, actual);
        if let Some(key) = key {
            let keep_for = append.key.as_ref().and_then(|request| request.keep_for);
            let expires_at = keep_for.map(|time| self.now + Duration::from_std(time).unwrap());
            let kept = Kept { request, answer: answer.clone(), command_id: append.command_id, expires_at };
            self.receipts.insert((append.aggregate_id, key), kept);
        }
        Ok(answer)
    }

    /// The receipt an append asks for: under the client's key, or, where it names no version, under its command id.
    fn key_of(append: &Append) -> Option<Key> {
        match &append.key {
            Some(request) => Some(Key::Client(request.key.as_str().to_owned())),
            None if append.expected.named().is_none() => Some(Key::Command(append.command_id)),
            None => None,
        }
    }

    fn request_of(append: &Append) -> Request {
        match append.key.as_ref().and_then(|request| request.fingerprint) {
            Some(fingerprint) => Request::Fingerprint(fingerprint),
            None => Request::Content(append.events.as_ref().clone(), append.metadata.to_json().unwrap()),
        }
    }

    fn answer_of_earlier_attempt(&self, append: &Append) -> Option<Result<Appended, Refusal>> {
        let first = append.expected.named()?.saturating_add(1);
        let there: Vec<_> = self.stream(append.aggregate_id).filter(|event| event.sequence >= first).collect();
        let begins = there.first().filter(|event| event.sequence == first && event.command_id == append.command_id)?;
        if append.events.is_empty() {
            return None;
        }
        let metadata = append.metadata.to_json().unwrap();
        let is_same = begins.append == (first, append.events.len())
            && there
                .iter()
                .zip(append.events.iter())
                .all(|(event, new)| event.event == *new && event.metadata == metadata);
        if !is_same {
            return Some(Err(Refusal::KeyReused));
        }
        let last = there[append.events.len() - 1];
        Some(Ok(Appended {
            first_sequence: first,
            version: last.sequence,
            position: Some(Position::new(last.position)),
            recorded_at: last.recorded_at,
            outcome: ReceiptOutcome::Accepted,
            replayed: true,
        }))
    }

    fn write(&mut self, append: &Append, version: u64) -> Appended {
        let metadata = append.metadata.to_json().unwrap();
        for (number, event) in (1..).zip(append.events.iter()) {
            let position = self.base + self.log.len() as u64 + 1;
            self.log.push(Written {
                aggregate_id: append.aggregate_id,
                aggregate_type: append.aggregate_type.clone().into_owned(),
                sequence: version + number,
                position,
                command_id: append.command_id,
                event: event.clone(),
                metadata: metadata.clone(),
                recorded_at: self.now,
                append: (version + 1, append.events.len()),
            });
        }
        let events = append.events.len() as u64;
        Appended {
            first_sequence: version + 1,
            version: version + events,
            position: (events > 0).then(|| Position::new(self.base + self.log.len() as u64)),
            recorded_at: self.now,
            outcome: append.outcome.clone(),
            replayed: false,
        }
    }
}

fn replayed(answer: &Appended) -> Appended {
    Appended { replayed: true, ..answer.clone() }
}
