//! A batch as the columns of one statement.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, Row as _, postgres::PgRow};
use uuid::Uuid;

use super::{
    plain::{Caution, Plain},
    row,
    statement::{APPEND_BATCH, APPEND_EVENT, APPEND_EVENTS, APPEND_KEYED_EVENT, APPEND_ONE},
};
use crate::store::{
    Append, Appended, ExpectedVersion, NewEvent, NewReceipt, Position, ReceiptOutcome, Request, to_column,
};

/// What a batch holds for one aggregate: each append expects what the one before it leaves.
///
/// The first one's expectation decides for all. So commands that wait for one aggregate share a statement.
#[derive(Debug)]
pub(super) struct Group {
    /// Places in the batch.
    pub(super) members: Vec<usize>,
}

/// The places of all members, group by group: the order in which a statement numbers them.
pub(super) fn members(groups: &[Group]) -> Vec<usize> {
    groups.iter().flat_map(|group| group.members.iter().copied()).collect()
}

/// Takes from what is open a group for each aggregate; what fits no group waits for another statement.
pub(super) fn groups(requests: &[Request<'_>], open: &[usize]) -> Vec<Group> {
    let mut groups: Vec<(Group, Chain<'_>)> = Vec::new();
    let mut by_aggregate: HashMap<Uuid, usize> = HashMap::with_capacity(open.len());
    for at in open.iter().copied() {
        let request = &requests[at];
        match by_aggregate.get(&request.append.aggregate_id) {
            None => {
                by_aggregate.insert(request.append.aggregate_id, groups.len());
                groups.push((Group { members: vec![at] }, Chain::begin(request)));
            }
            Some(group) => {
                let (group, chain) = &mut groups[*group];
                if chain.take(request) {
                    group.members.push(at);
                }
            }
        }
    }
    groups.into_iter().map(|(group, _)| group).collect()
}

/// What is known of an aggregate after the members of a group so far, if the group wins.
struct Chain<'a> {
    aggregate_type: &'a str,
    /// The version, where the first one named one.
    version: Option<u64>,
    exists: bool,
    /// The command id of the last event.
    last: Option<Uuid>,
    command_ids: HashSet<Uuid>,
    keys: HashSet<&'a str>,
    /// Nothing behind one that does not fit: the order of an aggregate's appends is kept.
    is_closed: bool,
}

impl<'a> Chain<'a> {
    fn begin(request: &'a Request<'a>) -> Self {
        let append = request.append;
        let mut chain = Self {
            aggregate_type: &append.aggregate_type,
            version: append.expected.named(),
            exists: append.expected == ExpectedVersion::Exists || append.expected.named().is_some_and(|at| at > 0),
            last: None,
            command_ids: HashSet::new(),
            keys: HashSet::new(),
            is_closed: false,
        };
        chain.add(request);
        chain
    }

    fn take(&mut self, request: &'a Request<'a>) -> bool {
        let append = request.append;
        let holds = match append.expected.named() {
            None => append.expected == ExpectedVersion::Any || self.exists,
            named => named == self.version,
        };
        let is_known = self.command_ids.contains(&append.command_id)
            || request.receipt.as_ref().is_some_and(|receipt| self.keys.contains(receipt.key.as_str()));
        let follows = append.follows.is_none() || append.follows == self.last;
        let fits = holds && follows && !is_known && append.aggregate_type == self.aggregate_type;
        self.is_closed |= !fits;
        if !self.is_closed {
            self.add(request);
        }
        !self.is_closed
    }

    fn add(&mut self, request: &'a Request<'a>) {
        let events = request.append.events.len() as u64;
        self.version = self.version.map(|version| version.saturating_add(events));
        if events > 0 {
            self.exists = true;
            self.last = Some(request.append.command_id);
        }
        self.command_ids.insert(request.append.command_id);
        self.keys.extend(request.receipt.as_ref().map(|receipt| receipt.key.as_str()));
    }
}

/// Writes groups with one statement. An answer for each append that was written, with its place in the batch.
///
/// `caution`: another's append that comes in between may take all back. Without it, it fails nobody but who met it.
pub(super) async fn write(
    connection: &mut PgConnection,
    (requests, now): (&[Request<'_>], DateTime<Utc>),
    groups: &[Group],
    caution: Option<&Caution>,
) -> Result<Vec<(usize, Appended)>, sqlx::Error> {
    if let [Group { members }] = groups
        && let [at] = members.as_slice()
    {
        let request = &requests[*at];
        let row = match single(request) {
            Some((event, version)) => write_event(connection, (request, event, version), now).await?,
            None => write_one(connection, request, now).await?,
        };
        return row.map(|row| Ok((*at, answer(request, &row, now)?))).into_iter().collect();
    }
    if let Some(plain) = caution.and_then(|caution| Plain::of(requests, groups, caution)) {
        return plain.write(connection, now).await;
    }
    let rows = match Singles::of(requests, groups, now) {
        Some(singles) => singles.write(connection, now).await?,
        None => Columns::of(requests, groups, now).write(connection, now).await?,
    };
    let places = members(groups);
    let numbered = |row: &PgRow| {
        let number = usize::try_from(row.try_get::<i64, _>("number")? - 1);
        let at = number.ok().and_then(|number| places.get(number)).ok_or(sqlx::Error::RowNotFound)?;
        Ok((*at, answer(&requests[*at], row, now)?))
    };
    rows.iter().map(numbered).collect()
}

/// The event of an append that has just one and names its version; `None` where it has other events, or names none.
fn single<'a>(request: &'a Request<'_>) -> Option<(&'a NewEvent, u64)> {
    match (request.append.events.as_slice(), request.append.expected.named()) {
        // Beyond the last number there is no next one.
        ([event], Some(version)) if to_column(version) < i64::MAX => Some((event, version)),
        _ => None,
    }
}

fn answer(request: &Request<'_>, row: &PgRow, now: DateTime<Utc>) -> Result<Appended, sqlx::Error> {
    let version = row.try_get::<i64, _>("version")?.unsigned_abs();
    Ok(appended(request, version, row.try_get("position")?, now))
}

/// What became of an append that found this version, and whose last event got this place in the log.
pub(super) fn appended(request: &Request<'_>, version: u64, position: Option<i64>, now: DateTime<Utc>) -> Appended {
    Appended {
        first_sequence: version + 1,
        version: version + request.append.events.len() as u64,
        position: position.map(|number| Position::new(number.unsigned_abs())),
        recorded_at: now,
        outcome: request.append.outcome.clone(),
        replayed: false,
    }
}

/// Writes an append of one event that names a version.
async fn write_event(
    connection: &mut PgConnection,
    (request, event, version): (&Request<'_>, &NewEvent, u64),
    now: DateTime<Utc>,
) -> Result<Option<PgRow>, sqlx::Error> {
    let append = request.append;
    let checksum = append.checksums(&request.metadata).next().unwrap_or_default();
    let query = sqlx::query(if request.receipt.is_some() { APPEND_KEYED_EVENT } else { APPEND_EVENT })
        .bind(append.aggregate_id)
        .bind(append.aggregate_type.as_ref())
        .bind(append.command_id)
        .bind(to_column(version))
        .bind(append.follows)
        .bind(request.metadata.as_ref())
        .bind(event.event_type())
        .bind(event.schema_version().cast_signed())
        .bind(event.payload())
        .bind(checksum.cast_signed())
        .bind(now);
    let query = match &request.receipt {
        None => query,
        Some(receipt) => {
            query.bind(receipt.key.as_str()).bind(receipt.fingerprint.as_bytes().as_slice()).bind(expiry(receipt, now))
        }
    };
    query.fetch_optional(connection).await
}

async fn write_one(
    connection: &mut PgConnection,
    request: &Request<'_>,
    now: DateTime<Utc>,
) -> Result<Option<PgRow>, sqlx::Error> {
    let append = request.append;
    let receipt = request.receipt.as_ref();
    let mut events = Events::default();
    events.add(1, request);
    sqlx::query(APPEND_ONE)
        .bind(append.aggregate_id)
        .bind(append.aggregate_type.as_ref())
        .bind(append.command_id)
        .bind(expected(append))
        .bind(append.follows)
        .bind(request.metadata.as_ref())
        .bind(receipt.map(|receipt| receipt.key.as_str()))
        .bind(receipt.map(|receipt| receipt.fingerprint.as_bytes().as_slice()))
        .bind(receipt.and_then(rejection))
        .bind(receipt.and_then(|receipt| expiry(receipt, now)))
        .bind(events.event_types)
        .bind(events.schema_versions)
        .bind(events.payloads)
        .bind(events.checksums)
        .bind(now)
        .fetch_optional(connection)
        .await
}

/// Appends of one event each at named versions, one to an aggregate, with keys or without, column by column.
#[derive(Default)]
struct Singles<'a> {
    aggregate_ids: Vec<Uuid>,
    aggregate_types: Vec<&'a str>,
    command_ids: Vec<Uuid>,
    expected: Vec<i64>,
    follows: Vec<Option<Uuid>>,
    metadata: Vec<&'a str>,
    event_types: Vec<&'a str>,
    schema_versions: Vec<i32>,
    payloads: Vec<&'a str>,
    checksums: Vec<i64>,
    keys: Vec<Option<&'a str>>,
    fingerprints: Vec<Option<&'a [u8]>>,
    expiries: Vec<Option<DateTime<Utc>>>,
}

impl<'a> Singles<'a> {
    /// The columns of groups; `None` where one holds anything else.
    fn of(requests: &'a [Request<'a>], groups: &[Group], now: DateTime<Utc>) -> Option<Self> {
        let lone = |group: &Group| match group.members.as_slice() {
            [at] => single(&requests[*at]).map(|single| (&requests[*at], single)),
            _ => None,
        };
        // Looked at before anything is made up: a checksum is the most expensive of it.
        let lone: Vec<_> = groups.iter().map(lone).collect::<Option<_>>()?;
        let mut singles = Self::default();
        lone.into_iter().for_each(|(request, single)| singles.add(request, single, now));
        Some(singles)
    }

    fn add(&mut self, request: &'a Request<'a>, (event, version): (&'a NewEvent, u64), now: DateTime<Utc>) {
        let (append, receipt) = (request.append, request.receipt.as_ref());
        self.aggregate_ids.push(append.aggregate_id);
        self.aggregate_types.push(&append.aggregate_type);
        self.command_ids.push(append.command_id);
        self.expected.push(to_column(version));
        self.follows.push(append.follows);
        self.metadata.push(&request.metadata);
        self.event_types.push(event.event_type());
        self.schema_versions.push(event.schema_version().cast_signed());
        self.payloads.push(event.payload());
        self.checksums.push(append.checksums(&request.metadata).next().unwrap_or_default().cast_signed());
        self.keys.push(receipt.map(|receipt| receipt.key.as_str()));
        self.fingerprints.push(receipt.map(|receipt| receipt.fingerprint.as_bytes().as_slice()));
        self.expiries.push(receipt.and_then(|receipt| expiry(receipt, now)));
    }

    async fn write(self, connection: &mut PgConnection, now: DateTime<Utc>) -> Result<Vec<PgRow>, sqlx::Error> {
        sqlx::query(APPEND_EVENTS)
            .bind(self.aggregate_ids)
            .bind(self.aggregate_types)
            .bind(self.command_ids)
            .bind(self.expected)
            .bind(self.follows)
            .bind(self.metadata)
            .bind(self.event_types)
            .bind(self.schema_versions)
            .bind(self.payloads)
            .bind(self.checksums)
            .bind(self.keys)
            .bind(self.fingerprints)
            .bind(self.expiries)
            .bind(now)
            .fetch_all(connection)
            .await
    }
}

/// The appends, column by column.
#[derive(Default)]
struct Columns<'a> {
    aggregate_ids: Vec<Uuid>,
    aggregate_types: Vec<&'a str>,
    command_ids: Vec<Uuid>,
    expected: Vec<i64>,
    follows: Vec<Option<Uuid>>,
    group_numbers: Vec<i64>,
    events_before: Vec<i64>,
    event_counts: Vec<i64>,
    group_events: Vec<i64>,
    metadata: Vec<&'a str>,
    keys: Vec<Option<&'a str>>,
    fingerprints: Vec<Option<&'a [u8]>>,
    rejections: Vec<Option<&'a str>>,
    expiries: Vec<Option<DateTime<Utc>>>,
    events: Events<'a>,
}

impl<'a> Columns<'a> {
    fn of(requests: &'a [Request<'a>], groups: &[Group], now: DateTime<Utc>) -> Self {
        let mut columns = Self::default();
        groups.iter().for_each(|group| columns.add(requests, group, now));
        columns
    }

    fn add(&mut self, requests: &'a [Request<'a>], group: &Group, now: DateTime<Utc>) {
        let first_number = self.aggregate_ids.len() as u64 + 1;
        let members = || group.members.iter().map(|at| &requests[*at]);
        let group_events = members().map(|request| request.append.events.len() as u64).sum();
        let mut before = 0;
        for (number, request) in (first_number..).zip(members()) {
            let (append, receipt) = (request.append, request.receipt.as_ref());
            let events = append.events.len() as u64;
            self.aggregate_ids.push(append.aggregate_id);
            self.aggregate_types.push(&append.aggregate_type);
            self.command_ids.push(append.command_id);
            self.expected.push(expected(append));
            self.follows.push(append.follows);
            self.group_numbers.push(to_column(first_number));
            self.events_before.push(to_column(before));
            self.event_counts.push(to_column(events));
            self.group_events.push(to_column(group_events));
            self.metadata.push(&request.metadata);
            self.keys.push(receipt.map(|receipt| receipt.key.as_str()));
            self.fingerprints.push(receipt.map(|receipt| receipt.fingerprint.as_bytes().as_slice()));
            self.rejections.push(receipt.and_then(rejection));
            self.expiries.push(receipt.and_then(|receipt| expiry(receipt, now)));
            self.events.add(number, request);
            before += events;
        }
    }

    async fn write(self, connection: &mut PgConnection, now: DateTime<Utc>) -> Result<Vec<PgRow>, sqlx::Error> {
        sqlx::query(APPEND_BATCH)
            .bind(self.aggregate_ids)
            .bind(self.aggregate_types)
            .bind(self.command_ids)
            .bind(self.expected)
            .bind(self.follows)
            .bind(self.group_numbers)
            .bind(self.events_before)
            .bind(self.event_counts)
            .bind(self.group_events)
            .bind(self.metadata)
            .bind(self.keys)
            .bind(self.fingerprints)
            .bind(self.rejections)
            .bind(self.expiries)
            .bind(self.events.numbers)
            .bind(self.events.places)
            .bind(self.events.event_types)
            .bind(self.events.schema_versions)
            .bind(self.events.payloads)
            .bind(self.events.checksums)
            .bind(now)
            .fetch_all(connection)
            .await
    }
}

/// The events, column by column.
#[derive(Default)]
pub(super) struct Events<'a> {
    /// The numbers of their appends.
    pub(super) numbers: Vec<i64>,
    /// Their places within these.
    pub(super) places: Vec<i64>,
    pub(super) event_types: Vec<&'a str>,
    pub(super) schema_versions: Vec<i32>,
    pub(super) payloads: Vec<&'a str>,
    pub(super) checksums: Vec<i64>,
}

impl<'a> Events<'a> {
    pub(super) fn add(&mut self, number: u64, request: &'a Request<'a>) {
        let checksums = request.append.checksums(&request.metadata);
        for (place, (event, checksum)) in (1_u64..).zip(request.append.events.iter().zip(checksums)) {
            self.numbers.push(to_column(number));
            self.places.push(to_column(place));
            self.event_types.push(event.event_type());
            self.schema_versions.push(event.schema_version().cast_signed());
            self.payloads.push(event.payload());
            self.checksums.push(checksum.cast_signed());
        }
    }
}

/// A version, or a number below zero for an expectation that names none.
fn expected(append: &Append) -> i64 {
    match append.expected {
        ExpectedVersion::Any => -1,
        ExpectedVersion::Exists => -2,
        ExpectedVersion::New => 0,
        ExpectedVersion::Exact(version) => to_column(version),
    }
}

fn rejection(receipt: &NewReceipt) -> Option<&str> {
    match &receipt.outcome {
        ReceiptOutcome::Accepted => None,
        ReceiptOutcome::Rejected { rejection } => Some(rejection),
    }
}

/// When a receipt expires that is recorded now.
pub(super) fn expiry(receipt: &NewReceipt, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    row::later(now, receipt.keep_for?)
}
