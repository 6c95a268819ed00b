//! Receipts, each by itself.

use async_trait::async_trait;
use serde::de::IgnoredAny;
use uuid::Uuid;

use super::{
    Finding, FindingKind,
    feed::{Item, Take, Taken, shown_id},
};
use crate::store::{Audit, Error, IdempotencyKey, ReceiptKey, ReceiptRow};

/// What a receipt says of its aggregate's events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Claim {
    pub(super) command_id: Uuid,
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) is_rejected: bool,
    /// The key can have been used before, by a request whose receipt has ended.
    pub(super) expires: bool,
}

impl Claim {
    pub(super) const fn has_events(&self) -> bool {
        self.first <= self.last
    }

    pub(super) const fn names(&self, sequence: u64) -> bool {
        self.first <= sequence && sequence <= self.last
    }
}

/// Holds what a receipt claims, where that can be read, and what is wrong with it by itself.
#[derive(Debug)]
pub(super) struct ReceiptItem {
    aggregate_id: Uuid,
    pub(super) claim: Option<Claim>,
    pub(super) wrong: Option<Finding>,
}

#[async_trait]
impl Item for ReceiptItem {
    const TABLE: &'static str = "annals_receipts";
    type Key = ReceiptKey;

    async fn read(audit: &mut dyn Audit, after: Option<&ReceiptKey>, take: Take<'_, Self>) -> Result<(), Error> {
        let mut visit = |row: ReceiptRow<'_>| {
            let key = ReceiptKey {
                aggregate_id: row.aggregate_id.to_owned(),
                idempotency_key: row.idempotency_key.to_owned(),
            };
            take(Self::of(&row), key, 0)
        };
        audit.receipts(after, &mut visit).await
    }

    fn aggregate_id(&self) -> Uuid {
        self.aggregate_id
    }

    fn behind(key: &ReceiptKey) -> String {
        format!(" behind a receipt of aggregate {}", shown_id(&key.aggregate_id))
    }
}

impl ReceiptItem {
    fn of(row: &ReceiptRow<'_>) -> Taken<Self> {
        let command_id = Uuid::from_slice(row.command_id).ok();
        let named = command_id.map_or_else(|| "a command".to_owned(), |id| format!("command {id}"));
        let Ok(aggregate_id) = Uuid::from_slice(row.aggregate_id) else {
            let message = format!("the receipt of {named} cannot be read: its aggregate id is not 16 bytes");
            return Err(Finding { command_id, ..Finding::new(FindingKind::ReceiptDamaged, message) });
        };
        let finding = |kind, what: &str| {
            let message = format!("the receipt of {named} at aggregate {aggregate_id} {what}");
            Finding { command_id, ..Finding::new(kind, message).of(aggregate_id) }
        };
        let wrong = match contradiction(row, command_id) {
            Some(what) => Some(finding(FindingKind::ReceiptDamaged, what)),
            None if row.outcome == b"rejected" && row.rejection.is_none() => {
                Some(finding(FindingKind::RejectionMissing, "says rejected, but not why"))
            }
            None => None,
        };
        let places = (u64::try_from(row.first_sequence), u64::try_from(row.last_sequence));
        // What contradicts itself is not held against the log as well.
        let is_readable = wrong.as_ref().is_none_or(|wrong| wrong.kind != FindingKind::ReceiptDamaged);
        let claim = match (command_id, places) {
            (Some(command_id), (Ok(first), Ok(last))) if is_readable => {
                let is_rejected = row.outcome == b"rejected";
                Some(Claim { command_id, first, last, is_rejected, expires: row.expires })
            }
            _ => None,
        };
        Ok(Self { aggregate_id, claim, wrong })
    }
}

/// What a receipt says that cannot be, whatever the log says.
fn contradiction(row: &ReceiptRow<'_>, command_id: Option<Uuid>) -> Option<&'static str> {
    let Some(command_id) = command_id else {
        return Some("cannot be read: its command id is not 16 bytes");
    };
    let is_json = |json: &[u8]| serde_json::from_slice::<IgnoredAny>(json).is_ok();
    if row.fingerprint.len() != 32 {
        return Some("has a fingerprint that is not 32 bytes");
    }
    if row.first_sequence < 1 || row.last_sequence < row.first_sequence - 1 {
        return Some("names events that cannot be");
    }
    match (row.outcome, row.rejection) {
        (b"accepted", None) | (b"rejected", None) => {}
        (b"rejected", Some(rejection)) if is_json(rejection) => {}
        (b"rejected", Some(_)) => return Some("has a rejection that is not JSON"),
        (b"accepted", Some(_)) => return Some("says accepted, and has a rejection"),
        _ => return Some("says neither accepted nor rejected"),
    }
    let is_key = match str::from_utf8(row.idempotency_key) {
        Ok(key) if key.starts_with(' ') => key == IdempotencyKey::of_command(command_id).as_str(),
        Ok(key) => IdempotencyKey::new(key).is_ok(),
        Err(_) => false,
    };
    (!is_key).then_some("has a key that no request can have had")
}
