//! Batches that one plain INSERT can write, and when that is tried.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicU32, Ordering},
};

use chrono::{DateTime, Utc};
use sqlx::{
    PgConnection, Postgres, Row as _,
    encode::IsNull,
    error::BoxDynError,
    postgres::{PgArgumentBuffer, PgHasArrayType, PgRow, PgTypeInfo, types::Oid},
};
use uuid::Uuid;

use super::{
    batch::{Events, Group, appended, expiry},
    statement::{APPEND_HISTORIES, APPEND_KEYED_EVENTS, APPEND_UNKEYED_EVENTS},
};
use crate::store::{Appended, NewReceipt, Request, to_column};

/// How many batches go the other way after one was taken back.
const CAUTIOUS_BATCHES: u32 = 64;

/// Tells whether to expect others' appends in between.
///
/// Where processes meet on the same aggregates, to be taken back time and again costs more than a plain INSERT saves.
/// Whatever they met on raises it, be it a key: who meets on one thing is soon met on another.
#[derive(Debug, Default)]
pub(super) struct Caution {
    /// How many batches more are to be careful.
    batches: AtomicU32,
}

impl Caution {
    /// Whether the next batch is to be careful.
    fn is_due(&self) -> bool {
        self.batches.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |batches| batches.checked_sub(1)).is_ok()
    }

    /// A batch was taken back.
    pub(super) fn raise(&self) {
        self.batches.store(CAUTIOUS_BATCHES, Ordering::Relaxed);
    }
}

/// Which of the plain statements writes a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// One event each, and no key.
    Events,
    /// One event each, and keys with some of them or all.
    KeyedEvents,
    /// Several events, and no key.
    Histories,
}

impl Kind {
    /// `None` for histories with keys: none of the statements writes them.
    fn of(appends: &[(usize, &Request<'_>, u64)]) -> Option<Self> {
        let has_one_each = appends.iter().all(|(_, request, _)| request.append.events.len() == 1);
        let has_keys = appends.iter().any(|(_, request, _)| request.receipt.is_some());
        match (has_one_each, has_keys) {
            (true, false) => Some(Self::Events),
            (true, true) => Some(Self::KeyedEvents),
            (false, false) => Some(Self::Histories),
            (false, true) => None,
        }
    }

    const fn statement(self) -> &'static str {
        match self {
            Self::Events => APPEND_UNKEYED_EVENTS,
            Self::KeyedEvents => APPEND_KEYED_EVENTS,
            Self::Histories => APPEND_HISTORIES,
        }
    }
}

/// Appends of events at named versions, one to an aggregate, and histories without keys: what most batches are.
///
/// They are written with a plain INSERT. Where another's append comes in between, all is taken back. So it is for a
/// transaction of its own, and for the first attempt.
pub(super) struct Plain<'a> {
    /// With their places in the batch and the versions they name, in the order of aggregates.
    appends: Vec<(usize, &'a Request<'a>, u64)>,
    kind: Kind,
}

impl<'a> Plain<'a> {
    /// The appends of groups; `None` where one is anything else, or others are to be expected in between.
    pub(super) fn of(requests: &'a [Request<'a>], groups: &[Group], caution: &Caution) -> Option<Self> {
        let lone = |group: &Group| match group.members.as_slice() {
            [at] => named_version(&requests[*at]).map(|version| (*at, &requests[*at], version)),
            _ => None,
        };
        let mut appends: Vec<_> = groups.iter().map(lone).collect::<Option<_>>()?;
        let kind = Kind::of(&appends)?;
        if caution.is_due() {
            return None;
        }
        // The statements sort them by themselves. What is sorted already costs them next to nothing.
        appends.sort_unstable_by_key(|(_, request, _)| request.append.aggregate_id);
        Some(Self { appends, kind })
    }

    /// Writes them. An answer for each append that was written, with its place in the batch.
    pub(super) async fn write(
        self,
        connection: &mut PgConnection,
        now: DateTime<Utc>,
    ) -> Result<Vec<(usize, Appended)>, sqlx::Error> {
        let requests = || self.appends.iter().map(|(_, request, _)| *request);
        let appends = || requests().map(|request| request.append);
        let mut events = Events::default();
        (1..).zip(requests()).for_each(|(number, request)| events.add(number, request));
        let mut query = sqlx::query(self.kind.statement())
            .bind(appends().map(|append| append.aggregate_id).collect::<Vec<_>>())
            .bind(appends().map(|append| append.aggregate_type.as_ref()).collect::<Vec<_>>())
            .bind(appends().map(|append| append.command_id).collect::<Vec<_>>())
            .bind(self.appends.iter().map(|(_, _, version)| to_column(*version)).collect::<Vec<_>>())
            .bind(appends().map(|append| append.follows).collect::<Vec<_>>())
            .bind(requests().map(|request| request.metadata.as_ref()).collect::<Vec<_>>());
        if self.kind == Kind::Histories {
            query = query.bind(events.numbers).bind(events.places);
        }
        query = query
            .bind(events.event_types)
            .bind(events.schema_versions)
            .bind(events.payloads.into_iter().map(Json).collect::<Vec<_>>())
            .bind(events.checksums);
        if self.kind == Kind::KeyedEvents {
            let receipts = || requests().map(|request| request.receipt.as_ref());
            let fingerprint = |receipt: &'a NewReceipt| receipt.fingerprint.as_bytes().as_slice();
            query = query
                .bind(receipts().map(|receipt| receipt.map(|receipt| receipt.key.as_str())).collect::<Vec<_>>())
                .bind(receipts().map(|receipt| receipt.map(fingerprint)).collect::<Vec<_>>())
                .bind(receipts().map(|receipt| expiry(receipt?, now)).collect::<Vec<_>>());
        }
        let rows = query.bind(now).fetch_all(connection).await?;
        let places: HashMap<_, _> = self.appends.iter().map(|found| (found.1.append.aggregate_id, found)).collect();
        let answer = |row: &PgRow| {
            let found = places.get(&row.try_get::<Uuid, _>("aggregate_id")?);
            let (at, request, version) = found.ok_or(sqlx::Error::RowNotFound)?;
            Ok((*at, appended(request, *version, row.try_get("position")?, now)))
        };
        rows.iter().map(answer).collect()
    }
}

/// The version that an append of events names.
fn named_version(request: &Request<'_>) -> Option<u64> {
    let version = request.append.expected.named()?;
    let events = request.append.events.len() as u64;
    // Beyond the last number there is no next one.
    let has_room = version.checked_add(events).is_some_and(|last| i64::try_from(last).is_ok());
    (events > 0 && has_room).then_some(version)
}

/// A JSON text as `json`, which is read once where a cast from `text` copies it before.
#[derive(Debug)]
struct Json<'a>(&'a str);

const JSON: PgTypeInfo = PgTypeInfo::with_oid(Oid(114));
const JSON_ARRAY: PgTypeInfo = PgTypeInfo::with_oid(Oid(199));

impl sqlx::Type<Postgres> for Json<'_> {
    fn type_info() -> PgTypeInfo {
        JSON
    }
}

impl PgHasArrayType for Json<'_> {
    fn array_type_info() -> PgTypeInfo {
        JSON_ARRAY
    }
}

impl sqlx::Encode<'_, Postgres> for Json<'_> {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        buffer.extend_from_slice(self.0.as_bytes());
        Ok(IsNull::No)
    }
}
