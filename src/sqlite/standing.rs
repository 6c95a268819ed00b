//! Where an append of a batch stands, in the database and after those before it in the batch.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sqlx::sqlite::SqliteRow;
use uuid::Uuid;

use super::row::column;
use crate::store::{Appended, Error, Head, Position, Request, from_column};

/// Where an append stands in the database, before the batch.
#[derive(Default)]
pub(super) struct Standing {
    pub(super) head: Head,
    /// The command id of the event where an earlier attempt would have begun.
    pub(super) earlier_command_id: Option<Uuid>,
    /// There is a receipt under its key, or there was one and it has expired.
    pub(super) has_receipt: bool,
}

impl Standing {
    /// A row of `read_standing.sql`, and the number of the append that it is about.
    pub(super) fn of(row: &SqliteRow) -> Result<(i64, Self), Error> {
        let head = Head {
            version: from_column(column::<Option<i64>>(row, 2)?.unwrap_or(0))?,
            aggregate_type: column(row, 3)?,
            command_id: column(row, 4)?,
        };
        Ok((column(row, 0)?, Self { head, earlier_command_id: column(row, 5)?, has_receipt: column(row, 6)? }))
    }
}

/// An append that is written, and where.
pub(super) struct Granted<'a> {
    pub(super) request: &'a Request<'a>,
    pub(super) appended: Appended,
    /// The position of its first event, were it to have one.
    pub(super) first_position: u64,
}

impl Granted<'_> {
    fn answer_again(&self) -> Appended {
        Appended { replayed: true, ..self.appended.clone() }
    }
}

/// Tells whether two requests would write the very same.
fn write_the_same(one: &Request<'_>, other: &Request<'_>) -> bool {
    one.append.events == other.append.events && one.metadata == other.metadata
}

fn reused(request: &Request<'_>) -> Error {
    Error::KeyReused { aggregate: request.append.aggregate() }
}

/// What a batch comes to, append by append: each sees what those before it write.
pub(super) struct Progress<'a> {
    pub(super) granted: Vec<Granted<'a>>,
    /// Which of them wrote to an aggregate.
    by_aggregate: HashMap<Uuid, Vec<usize>>,
    heads: HashMap<Uuid, Head>,
    next_position: u64,
    now: DateTime<Utc>,
}

impl<'a> Progress<'a> {
    pub(super) fn after(head: Position, now: DateTime<Utc>) -> Self {
        let (granted, by_aggregate, heads) = (Vec::new(), HashMap::new(), HashMap::new());
        Self { granted, by_aggregate, heads, next_position: head.get() + 1, now }
    }

    /// Answers a request from the receipt that an append before it in the batch leaves.
    pub(super) fn answer_by_receipt(&self, request: &Request<'_>) -> Option<Result<Appended, Error>> {
        let new = request.receipt.as_ref()?;
        let (granted, kept) = self.earlier(request).find_map(|granted| {
            let kept = granted.request.receipt.as_ref().filter(|kept| kept.key == new.key)?;
            Some((granted, kept))
        })?;
        Some(if new.fingerprint == kept.fingerprint { Ok(granted.answer_again()) } else { Err(reused(request)) })
    }

    /// Answers a request from the events that an append before it in the batch writes under the same command id.
    pub(super) fn answer_by_events(&self, request: &Request<'_>) -> Option<Result<Appended, Error>> {
        let append = request.append;
        let begins_at = append.expected.named()?.saturating_add(1);
        let granted = self.earlier(request).find(|granted| {
            let (first, last) = (granted.appended.first_sequence, granted.appended.version);
            granted.request.append.command_id == append.command_id && (first..=last).contains(&begins_at)
        });
        let granted = granted.filter(|_| !append.events.is_empty())?;
        let is_same = begins_at == granted.appended.first_sequence && write_the_same(request, granted.request);
        Some(if is_same { Ok(granted.answer_again()) } else { Err(reused(request)) })
    }

    /// What the batch has written so far to the request's aggregate.
    fn earlier(&self, request: &Request<'_>) -> impl Iterator<Item = &Granted<'a>> {
        let places = self.by_aggregate.get(&request.append.aggregate_id);
        places.into_iter().flatten().map(|at| &self.granted[*at])
    }

    /// Grants an append its place at the end of its stream and of the log, or says why not.
    pub(super) fn grant(&mut self, request: &'a Request<'a>, stored: Head) -> Result<Appended, Error> {
        let append = request.append;
        let head = self.heads.entry(append.aggregate_id).or_insert(stored);
        if let Some(refusal) = head.refusal(append) {
            return Err(refusal);
        }
        let (events, first_position) = (append.events.len() as u64, self.next_position);
        let appended = Appended {
            first_sequence: head.version + 1,
            version: head.version + events,
            position: (events > 0).then(|| Position::new(first_position - 1 + events)),
            recorded_at: self.now,
            outcome: append.outcome.clone(),
            replayed: false,
        };
        if events > 0 {
            let (aggregate_type, command_id) = (append.aggregate_type.clone().into_owned(), append.command_id);
            *head =
                Head { version: appended.version, aggregate_type: Some(aggregate_type), command_id: Some(command_id) };
        }
        self.next_position += events;
        self.by_aggregate.entry(append.aggregate_id).or_default().push(self.granted.len());
        self.granted.push(Granted { request, appended: appended.clone(), first_position });
        Ok(appended)
    }
}
