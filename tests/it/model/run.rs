//! One history, run on a store and on the reference at once.

use std::{sync::Arc, time::Duration};

use annals::{
    Append, Appended, Error, EventStore, EventStoreExt as _, ExecuteError, ExpectedVersion, Fingerprint, Id,
    IdempotencyKey, LogQuery, ManualClock, Metadata, NewEvent, Position, ReceiptOutcome, RecordedEvent, Repository,
    StreamQuery, StreamRead,
};
use serde_json::json;
use uuid::Uuid;

use super::{
    RETRY,
    history::{Command, Draft, Item, Step},
    reference::{Kept, Key, Reference, Refusal, Request, Written},
};
use crate::faults::tally::{Tally, TallyCommand};

/// Whether the store fails on purpose: then what fails is asked for again, and may turn out to have been done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    Calm,
    Rough,
}

pub struct Bench<S> {
    store: S,
    tallies: Repository<Tally>,
    clock: Arc<ManualClock>,
    flow: Flow,
    reference: Reference,
    aggregates: [Uuid; 3],
    sent: Vec<Append>,
    base: Position,
    /// Where positions are the database's own affair: they are learned from it, and then must not change.
    learns_positions: bool,
}

/// How a command ended: first sequence, version, position, the sum it was rejected at, and whether it was replayed.
type Ended = (u64, u64, Option<Position>, Option<u64>, bool);

fn key(number: u8) -> IdempotencyKey {
    IdempotencyKey::new(format!("key-{number}")).unwrap()
}

/// What an error promises.
fn refusal_of(error: &Error) -> Refusal {
    match error {
        Error::Conflict { expected, actual, .. } => Refusal::Conflict { expected: *expected, actual: *actual },
        Error::KeyReused { .. } => Refusal::KeyReused,
        Error::Invalid { .. } => Refusal::Invalid,
        Error::OutcomeUnknown { .. } => Refusal::Unknown,
        other => panic!("{other:?}"),
    }
}

impl<S: EventStore + Clone + 'static> Bench<S> {
    pub async fn new(store: &S, tallies: Repository<Tally>, clock: &Arc<ManualClock>, flow: Flow) -> Self {
        let base = patient(|| store.head()).await;
        clock.set(super::start());
        Self {
            store: store.clone(),
            tallies,
            clock: Arc::clone(clock),
            flow,
            reference: Reference::new(super::start(), base.get()),
            aggregates: [(); 3].map(|()| Uuid::now_v7()),
            sent: Vec::new(),
            base,
            learns_positions: false,
        }
    }

    /// For a database in which the appends of a batch take their positions in an order of its own.
    pub fn learning_positions(mut self) -> Self {
        self.learns_positions = true;
        self
    }

    async fn learn_positions(&mut self) {
        for id in self.aggregates.into_iter().filter(|_| self.learns_positions) {
            let whole = StreamQuery::of(id);
            self.reference.learn_positions(&patient(|| self.store.collect_stream(&whole)).await);
        }
    }

    pub const fn store(&self) -> &S {
        &self.store
    }

    pub fn reopened(&mut self, store: &S, tallies: Repository<Tally>) {
        self.store = store.clone();
        self.tallies = tallies;
    }

    pub async fn take(&mut self, step: &Step) {
        match step {
            Step::Append(items) => self.append(items).await,
            Step::Execute(command) => self.execute(command).await,
            Step::Wait { seconds } => {
                self.clock.advance(Duration::from_secs(u64::from(*seconds)));
                self.reference.now += chrono::Duration::seconds(i64::from(*seconds));
            }
            Step::Reopen => {}
            Step::Read { aggregate, from, to, limit, backward } => {
                let mut query = StreamQuery::of(self.aggregates[*aggregate]).from_sequence(*from).to_sequence(*to);
                query.limit = *limit;
                self.read(if *backward { query.backward() } else { query }).await;
            }
        }
    }

    async fn append(&mut self, items: &[Item]) {
        let mut batch = Vec::new();
        for item in items {
            let append = match item {
                Item::Again(index) if !self.sent.is_empty() => index.get(&self.sent).clone(),
                Item::Again(_) => continue,
                Item::New(draft) => self.build(draft),
            };
            self.sent.push(append.clone());
            batch.push(append);
        }
        let answers = match self.flow {
            Flow::Calm => self.store.append(batch.clone()).await,
            Flow::Rough => {
                let mut answers = Vec::new();
                for append in &batch {
                    answers.push(annals::append(&self.store, append.clone(), RETRY).await);
                }
                answers
            }
        };
        assert_eq!(answers.len(), batch.len());
        let promised: Vec<_> = batch.iter().map(|append| self.reference.append(append)).collect();
        self.learn_positions().await;
        for ((append, answer), mut promised) in batch.iter().zip(answers).zip(promised) {
            if let Ok(promised) = &mut promised {
                self.reference.place(append.aggregate_id, promised);
            }
            self.compare_answer(&promised, &answer.map_err(|error| refusal_of(&error)), append);
        }
    }

    fn compare_answer(&self, promised: &Result<Appended, Refusal>, found: &Result<Appended, Refusal>, of: &Append) {
        let mut found = found.clone();
        if self.flow == Flow::Rough {
            match (&mut found, promised) {
                // The reply of the attempt that wrote it may have been lost.
                (Ok(found), Ok(promised)) => found.replayed = promised.replayed,
                // Once its reply was lost, an attempt whose place is not taken could still come true.
                (Err(found @ Refusal::Unknown), Err(Refusal::Conflict { expected, actual }))
                    if expected.named().is_none_or(|version| version > *actual) =>
                {
                    *found = Refusal::Conflict { expected: *expected, actual: *actual };
                }
                _ => {}
            }
        }
        assert_eq!(&found, promised, "{of:?}");
    }

    fn build(&self, draft: &Draft) -> Append {
        let id = self.aggregates[draft.aggregate];
        let version = self.reference.version(id);
        let payload = json!({ "by": u64::from(draft.content) + 1 });
        let event = || NewEvent::new("added", &payload).unwrap();
        let mut append = Append::new(if draft.is_other_type { "other" } else { "tally" }, id)
            .expected(draft.expected.at(version))
            .metadata(if draft.actor { Metadata::new().actor("somebody") } else { Metadata::new() });
        if draft.is_rejection {
            append = append.rejected(format!("{{\"sum\":{}}}", draft.content).into());
        }
        // A rejection has no events, save once in a while, when it is refused for that.
        if !draft.is_rejection || draft.events == 3 {
            append = append.events((0..draft.events).map(|_| event()));
        }
        if let Some(number) = draft.key {
            append = append.idempotency_key(key(number));
            if let Some(fingerprint) = draft.fingerprint {
                append = append.fingerprint(Fingerprint::of(&fingerprint).unwrap());
            }
            if let Some(seconds) = draft.keep_seconds {
                append = append.keep_receipt_for(Duration::from_secs(u64::from(seconds)));
            }
        } else if let Some(index) = draft.command_id_of.filter(|_| !self.sent.is_empty()) {
            append = append.command_id(index.get(&self.sent).command_id);
        }
        if let Some(truly) = draft.follows {
            let last = self.reference.stream(id).last().map(|event| event.command_id);
            append = append.follows(last.filter(|_| truly).unwrap_or_else(Uuid::now_v7));
        }
        append
    }

    async fn execute(&mut self, command: &Command) {
        let uuid = self.aggregates[command.aggregate];
        let (id, version) = (Id::<Tally>::from_uuid(uuid), self.reference.version(uuid));
        let expected = command.expected.at(version);
        let decided = match (command.is_refused, command.events) {
            (true, _) => TallyCommand::Refuse,
            (false, 0) => TallyCommand::Nothing,
            (false, events) => TallyCommand::Add { events },
        };
        let mut execute = self.tallies.execute(id, &decided).expected_version(expected);
        if let Some(number) = command.key {
            execute = execute.idempotency_key(key(number));
        }
        if let Some(request) = command.request {
            execute = execute.fingerprint_of(&request);
        }
        if let Some(seconds) = command.keep_seconds {
            execute = execute.keep_receipt_for(Duration::from_secs(u64::from(seconds)));
        }
        let answer = execute.await;
        let found = match answer {
            Ok(done) => Ok((done.first_sequence, done.version, done.position, None, done.replayed)),
            Err(ExecuteError::Rejected { rejection, replayed }) => Ok((0, 0, None, Some(rejection.sum), replayed)),
            Err(ExecuteError::Store(error)) => Err(refusal_of(&error)),
            Err(other) => panic!("{other:?}"),
        };
        let before = self.reference.log.len();
        let promised = self.promised(command, &decided, uuid, expected);
        self.learn_positions().await;
        let promised = promised.map(|(first, version, position, sum, replayed)| {
            (first, version, position.and_then(|_| self.reference.position(uuid, version)), sum, replayed)
        });
        let mut found = found;
        if let (Flow::Rough, Ok(found), Ok(promised)) = (self.flow, &mut found, &promised) {
            found.4 = promised.4;
        }
        assert_eq!(found, promised, "{command:?}");
        if self.reference.log.len() > before || (command.key.is_some() && found.is_ok()) {
            self.learn_command_id(uuid, command.key, before).await;
        }
    }

    /// What a command comes to. In this order: the receipt, the pinned version, the decision.
    fn promised(
        &mut self,
        command: &Command,
        decided: &TallyCommand,
        uuid: Uuid,
        expected: ExpectedVersion,
    ) -> Result<Ended, Refusal> {
        let fingerprint =
            command.request.map_or_else(|| Fingerprint::of(decided), |request| Fingerprint::of(&request)).unwrap();
        let name = command.key.map(|number| Key::Client(key(number).as_str().to_owned()));
        if let Some(kept) = name.as_ref().and_then(|name| self.reference.receipt(uuid, name)) {
            let same = kept.request == Request::Fingerprint(fingerprint);
            return if same { Ok(outcome(&kept.answer, true)) } else { Err(Refusal::KeyReused) };
        }
        if self.reference.stream(uuid).any(|event| event.aggregate_type != "tally") {
            return Err(Refusal::Invalid);
        }
        let version = self.reference.version(uuid);
        if !expected.holds_at(version) {
            return Err(Refusal::Conflict { expected, actual: version });
        }
        let sum = self.reference.sum(uuid);
        let mut append = Append::new("tally", uuid).expected(ExpectedVersion::Exact(version));
        match decided {
            TallyCommand::Add { events } => {
                let event = || NewEvent::new("added", &json!({ "by": 1 })).unwrap();
                append = append.events((0..*events).map(|_| event()));
            }
            TallyCommand::Nothing if command.key.is_none() => return Ok((version + 1, version, None, None, false)),
            TallyCommand::Refuse if command.key.is_none() => return Ok((0, 0, None, Some(sum), false)),
            TallyCommand::Nothing => {}
            TallyCommand::Refuse => append = append.rejected(format!("{{\"sum\":{sum}}}").into()),
        }
        if let Some(number) = command.key {
            append = append.idempotency_key(key(number)).fingerprint(fingerprint);
            if let Some(seconds) = command.keep_seconds {
                append = append.keep_receipt_for(Duration::from_secs(u64::from(seconds)));
            }
        }
        self.reference.append(&append).map(|answer| outcome(&answer, false))
    }

    /// The id a command was given by the library: under a key it follows from the key, unless it was decided anew.
    async fn learn_command_id(&mut self, uuid: Uuid, number: Option<u8>, before: usize) {
        let command_id = match number {
            Some(number) => {
                let name = key(number);
                let receipt = patient(|| self.store.receipt(uuid, &name)).await.unwrap();
                let kept = (uuid, Key::Client(name.as_str().to_owned()));
                self.reference.receipts.get_mut(&kept).unwrap().command_id = receipt.command_id;
                let is_derived = receipt.command_id == name.command_id(uuid);
                assert!(is_derived || receipt.command_id.get_version_num() == 7);
                receipt.command_id
            }
            None => {
                let last = StreamQuery::of(uuid).backward().limit(1);
                patient(|| self.store.collect_stream(&last)).await[0].command_id()
            }
        };
        for event in &mut self.reference.log[before..] {
            event.command_id = command_id;
        }
    }

    async fn read(&self, query: StreamQuery) {
        let mut found = Vec::new();
        let store = &self.store;
        let read = loop {
            found.clear();
            let read = store
                .read_stream(&query, &mut |event| {
                    found.push(event.to_recorded());
                    Ok(())
                })
                .await;
            match read {
                Err(error) if error.is_retryable() => {}
                read => break read.unwrap(),
            }
        };
        let version = self.reference.version(query.aggregate_id);
        assert_eq!(read, StreamRead { version, receipt: None });
        let within = |event: &&Written| event.sequence >= query.from && event.sequence <= query.to;
        let mut promised: Vec<_> = self.reference.stream(query.aggregate_id).filter(within).collect();
        if query.direction == annals::store::Direction::Backward {
            promised.reverse();
        }
        promised.truncate(query.limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap()));
        compare_events(&found, &promised);
    }

    /// The whole log, every receipt and every state.
    pub async fn compare_all(&self) {
        let since = LogQuery::all().after(self.base);
        let log = patient(|| self.store.collect_log(&since)).await;
        let mut promised: Vec<_> = self.reference.log.iter().collect();
        promised.sort_by_key(|event| event.position);
        compare_events(&log, &promised);
        for ((aggregate_id, name), kept) in &self.reference.receipts {
            let Key::Client(name) = name else { continue };
            self.compare_receipt(*aggregate_id, name, kept).await;
        }
        for uuid in self.aggregates {
            let loaded = patient(|| self.tallies.load(Id::from_uuid(uuid)));
            if self.reference.stream(uuid).all(|event| event.aggregate_type == "tally") {
                let loaded = loaded.await;
                let promised = (self.reference.version(uuid), self.reference.sum(uuid));
                assert_eq!((loaded.version, loaded.state.sum), promised);
            }
        }
    }

    async fn compare_receipt(&self, aggregate_id: Uuid, name: &str, kept: &Kept) {
        let name = IdempotencyKey::new(name).unwrap();
        let found = patient(|| self.store.receipt(aggregate_id, &name)).await;
        let is_kept = kept.expires_at.is_none_or(|end| end > self.reference.now);
        assert_eq!(found.is_some(), is_kept, "{kept:?}");
        let Some(found) = found else { return };
        let answer = Appended {
            first_sequence: found.first_sequence,
            version: found.last_sequence,
            position: found.position,
            recorded_at: found.recorded_at,
            outcome: found.outcome,
            replayed: false,
        };
        assert_eq!(answer, kept.answer);
        assert_eq!((found.command_id, found.expires_at), (kept.command_id, kept.expires_at));
    }
}

fn outcome(answer: &Appended, replayed: bool) -> Ended {
    match &answer.outcome {
        ReceiptOutcome::Rejected { rejection } => {
            let rejection: serde_json::Value = serde_json::from_str(rejection).unwrap();
            (0, 0, None, rejection["sum"].as_u64(), replayed || answer.replayed)
        }
        _ => (answer.first_sequence, answer.version, answer.position, None, replayed || answer.replayed),
    }
}

/// Asks until a store that fails on purpose answers.
async fn patient<T, F: Future<Output = Result<T, Error>>>(mut ask: impl FnMut() -> F) -> T {
    loop {
        match ask().await {
            Err(error) if error.is_retryable() => {}
            answer => return answer.unwrap(),
        }
    }
}

fn compare_events(found: &[RecordedEvent], promised: &[&Written]) {
    assert_eq!(found.len(), promised.len(), "{found:?}");
    for (found, promised) in found.iter().zip(promised) {
        let place = (found.position().get(), found.aggregate_id(), found.aggregate_type(), found.sequence());
        let Written { position, aggregate_id, aggregate_type, sequence, .. } = promised;
        assert_eq!(place, (*position, *aggregate_id, aggregate_type.as_str(), *sequence));
        let content = (found.event_type(), found.payload(), found.metadata().unwrap().to_json().unwrap());
        assert_eq!(content, (promised.event.event_type(), promised.event.payload(), promised.metadata.clone()));
        assert_eq!((found.command_id(), found.recorded_at()), (promised.command_id, promised.recorded_at));
    }
}
