//! The lines of an export.

use std::{borrow::Cow, io::Write as _};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, de::IgnoredAny};
use serde_json::value::RawValue;
use uuid::Uuid;

use super::{Counts, Refusal};
use crate::store::{
    EventRef, Fingerprint, IdempotencyKey, Limits, MovedReceipt, MovedRow, Position, Receipt, ReceiptOutcome, RowKind,
};

/// The version of the format.
pub const FORMAT_VERSION: u32 = 1;

/// What the first line calls the format.
const FORMAT: &str = "annals-export";

/// The bytes of a line beside payload, metadata, rejection and key: names, ids, numbers.
const FRAME_BYTES: usize = 8 << 10;

/// The most bytes that a byte of JSON takes within a text: `\u000b`.
const ESCAPED_BYTES: usize = 6;

/// The most bytes of a line, for a store with these bounds.
///
/// With the default bounds about 6.4 MiB; hardly any line is near it.
#[must_use]
pub const fn longest_line_bytes(limits: &Limits) -> usize {
    limits.event_bytes.saturating_add(limits.metadata_bytes).saturating_mul(ESCAPED_BYTES).saturating_add(FRAME_BYTES)
}

/// What a line says.
#[derive(Debug)]
pub(super) enum Line<'l> {
    Header(Header<'l>),
    Event(EventLine<'l>),
    Receipt(ReceiptLine<'l>),
    Row(MovedRow),
    End(End<'l>),
}

impl<'l> Line<'l> {
    /// Reads a line whose sum was found right.
    pub(super) fn parse(line: &'l [u8]) -> Result<Self, Refusal> {
        let text = str::from_utf8(line).map_err(|_| unreadable("it is not UTF-8"))?;
        let kind = text.strip_prefix(r#"{"kind":""#).and_then(|rest| rest.split('"').next()).unwrap_or_default();
        let read = match kind {
            "header" => serde_json::from_str(text).map(Self::Header),
            "event" => serde_json::from_str(text).map(Self::Event),
            "receipt" => serde_json::from_str(text).map(Self::Receipt),
            "end" => serde_json::from_str(text).map(Self::End),
            kind => match RowKind::ALL.into_iter().find(|known| known.as_str() == kind) {
                Some(kind) => MovedRow::from_json(kind, text).map(Self::Row),
                None => return Err(unreadable("it is of no kind that is known")),
            },
        };
        read.map_err(|error| unreadable(&error.to_string()))
    }
}

fn unreadable(why: &str) -> Refusal {
    Refusal::Unreadable(why.to_owned())
}

/// The first line. Nothing in it differs from one database to another.
#[derive(Debug, Deserialize)]
pub(super) struct Header<'l> {
    #[serde(borrow)]
    format: Cow<'l, str>,
    version: u32,
    #[serde(borrow)]
    kinds: Vec<Cow<'l, str>>,
}

/// The kinds of lines between the first and the last, in their order.
const KINDS: [&str; 7] = ["event", "receipt", "checkpoint", "parked_event", "timer", "message", "message_place"];

impl Header<'_> {
    pub(super) fn write(line: &mut Vec<u8>) {
        let program = concat!("annals ", env!("CARGO_PKG_VERSION"));
        let kinds = KINDS.map(|kind| format!("\"{kind}\"")).join(",");
        start(line, "header");
        let _ =
            write!(line, r#","format":"{FORMAT}","version":{FORMAT_VERSION},"program":"{program}","kinds":[{kinds}]"#);
    }

    pub(super) fn check(&self) -> Result<(), Refusal> {
        if self.format != FORMAT {
            return Err(Refusal::NoExport);
        }
        if self.version != FORMAT_VERSION || self.kinds.iter().any(|kind| !KINDS.contains(&kind.as_ref())) {
            return Err(Refusal::Newer { version: self.version });
        }
        Ok(())
    }
}

/// The last line.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct End<'l> {
    #[serde(rename = "kind")]
    _kind: IgnoredAny,
    pub(super) counts: Counts,
    /// SHA-256 over all lines before.
    pub(super) digest: &'l str,
    #[serde(rename = "sum")]
    _sum: IgnoredAny,
}

impl End<'_> {
    pub(super) fn write(line: &mut Vec<u8>, counts: &Counts, digest: &str) {
        start(line, "end");
        let _ = write!(line, r#","counts":"#);
        let _ = serde_json::to_writer(&mut *line, counts);
        let _ = write!(line, r#","digest":"{digest}""#);
    }
}

/// An event. Without its position: another database has others.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EventLine<'l> {
    #[serde(rename = "kind")]
    _kind: IgnoredAny,
    #[serde(borrow)]
    aggregate_type: Cow<'l, str>,
    aggregate_id: Uuid,
    sequence: u64,
    #[serde(borrow)]
    event_type: Cow<'l, str>,
    schema_version: u32,
    command_id: Uuid,
    recorded_at: i64,
    checksum: &'l str,
    #[serde(borrow, default, deserialize_with = "as_it_stands")]
    payload: Option<&'l RawValue>,
    #[serde(borrow)]
    payload_text: Option<Cow<'l, str>>,
    #[serde(borrow, default, deserialize_with = "as_it_stands")]
    metadata: Option<&'l RawValue>,
    #[serde(borrow)]
    metadata_text: Option<Cow<'l, str>>,
    #[serde(rename = "sum")]
    _sum: IgnoredAny,
}

impl EventLine<'_> {
    pub(super) fn write(line: &mut Vec<u8>, event: &EventRef<'_>) {
        start(line, "event");
        text(line, "aggregate_type", event.aggregate_type);
        let _ = write!(line, r#","aggregate_id":"{}","sequence":{}"#, event.aggregate_id, event.sequence);
        text(line, "event_type", event.event_type);
        let _ = write!(
            line,
            r#","schema_version":{},"command_id":"{}","recorded_at":{},"checksum":"{:016x}""#,
            event.schema_version,
            event.command_id,
            event.recorded_at.timestamp_micros(),
            event.checksum
        );
        json(line, "payload", event.payload);
        json(line, "metadata", event.metadata);
    }

    /// The event, at no position.
    pub(super) fn event(&self) -> Result<EventRef<'_>, Refusal> {
        if self.sequence == 0 || i64::try_from(self.sequence).is_err() {
            return Err(unreadable("there is no such sequence"));
        }
        if self.schema_version == 0 || i32::try_from(self.schema_version).is_err() {
            return Err(unreadable("there is no such schema version"));
        }
        Ok(EventRef {
            position: Position::START,
            aggregate_type: &self.aggregate_type,
            aggregate_id: self.aggregate_id,
            sequence: self.sequence,
            event_type: &self.event_type,
            schema_version: self.schema_version,
            command_id: self.command_id,
            payload: verbatim(self.payload, self.payload_text.as_deref())?,
            metadata: verbatim(self.metadata, self.metadata_text.as_deref())?,
            recorded_at: time(self.recorded_at)?,
            checksum: u64::from_str_radix(self.checksum, 16).map_err(|_| unreadable("its checksum is none"))?,
        })
    }
}

/// A receipt.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReceiptLine<'l> {
    #[serde(rename = "kind")]
    _kind: IgnoredAny,
    aggregate_id: Uuid,
    #[serde(borrow)]
    key: Cow<'l, str>,
    command_id: Uuid,
    fingerprint: &'l str,
    outcome: &'l str,
    first_sequence: u64,
    last_sequence: u64,
    #[serde(borrow, default, deserialize_with = "as_it_stands")]
    rejection: Option<&'l RawValue>,
    #[serde(borrow)]
    rejection_text: Option<Cow<'l, str>>,
    recorded_at: i64,
    expires_at: Option<i64>,
    #[serde(rename = "sum")]
    _sum: IgnoredAny,
}

impl ReceiptLine<'_> {
    pub(super) fn write(line: &mut Vec<u8>, moved: &MovedReceipt) {
        let receipt = &moved.receipt;
        start(line, "receipt");
        let _ = write!(line, r#","aggregate_id":"{}""#, moved.aggregate_id);
        text(line, "key", moved.key.as_str());
        let _ = write!(line, r#","command_id":"{}","fingerprint":""#, receipt.command_id);
        for byte in receipt.fingerprint.as_bytes() {
            let _ = write!(line, "{byte:02x}");
        }
        let outcome = if receipt.outcome == ReceiptOutcome::Accepted { "accepted" } else { "rejected" };
        let _ = write!(
            line,
            r#"","outcome":"{outcome}","first_sequence":{},"last_sequence":{}"#,
            receipt.first_sequence, receipt.last_sequence
        );
        if let ReceiptOutcome::Rejected { rejection } = &receipt.outcome {
            json(line, "rejection", rejection);
        }
        let _ = write!(line, r#","recorded_at":{}"#, receipt.recorded_at.timestamp_micros());
        if let Some(expires_at) = receipt.expires_at {
            let _ = write!(line, r#","expires_at":{}"#, expires_at.timestamp_micros());
        }
    }

    pub(super) fn receipt(&self) -> Result<MovedReceipt, Refusal> {
        let outcome = match self.outcome {
            "accepted" if self.rejection.is_none() && self.rejection_text.is_none() => ReceiptOutcome::Accepted,
            "rejected" => {
                let rejection = verbatim(self.rejection, self.rejection_text.as_deref())?;
                ReceiptOutcome::Rejected { rejection: rejection.into() }
            }
            _ => return Err(unreadable("its outcome is none")),
        };
        let (first, last) = (self.first_sequence, self.last_sequence);
        if first == 0 || i64::try_from(last).is_err() || last.checked_add(1).is_none_or(|next| next < first) {
            return Err(unreadable("it names events that cannot be"));
        }
        let command_key = IdempotencyKey::of_command(self.command_id);
        if command_key.as_str() != self.key && IdempotencyKey::new(&self.key).is_err() {
            return Err(unreadable("no request can have had its key"));
        }
        Ok(MovedReceipt {
            aggregate_id: self.aggregate_id,
            key: IdempotencyKey::from_stored(&self.key),
            receipt: Receipt {
                command_id: self.command_id,
                fingerprint: fingerprint(self.fingerprint)?,
                outcome,
                first_sequence: first,
                last_sequence: last,
                position: None,
                recorded_at: time(self.recorded_at)?,
                expires_at: self.expires_at.map(time).transpose()?,
            },
        })
    }
}

/// Writes a row of one of the other kinds.
pub(super) fn write_row(line: &mut Vec<u8>, row: &MovedRow) {
    start(line, row.kind().as_str());
    line.push(b',');
    let at = line.len();
    let _ = serde_json::to_writer(&mut *line, row);
    // Its members stand among the line's own.
    line.remove(at);
    line.pop();
}

fn start(line: &mut Vec<u8>, kind: &str) {
    line.clear();
    let _ = write!(line, r#"{{"kind":"{kind}""#);
}

fn text(line: &mut Vec<u8>, name: &str, text: &str) {
    let _ = write!(line, r#","{name}":"#);
    // Into memory: it cannot fail.
    let _ = serde_json::to_writer(&mut *line, text);
}

/// Writes stored JSON so that it comes back byte by byte: as it stands where it fits on a line, else as a text.
fn json(line: &mut Vec<u8>, name: &str, stored: &str) {
    let is_blank = |byte: u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
    let bytes = stored.as_bytes();
    let is_trimmed = [bytes.first(), bytes.last()].iter().all(|end| end.is_some_and(|byte| !is_blank(*byte)));
    let is_on_a_line = !bytes.iter().any(|byte| matches!(byte, b'\n' | b'\r'));
    if is_trimmed && is_on_a_line && serde_json::from_str::<IgnoredAny>(stored).is_ok() {
        let _ = write!(line, r#","{name}":"#);
        line.extend_from_slice(bytes);
    } else {
        text(line, &format!("{name}_text"), stored);
    }
}

/// Reads JSON as it stands; `null` is JSON too.
fn as_it_stands<'l, D: Deserializer<'l>>(json: D) -> Result<Option<&'l RawValue>, D::Error> {
    Deserialize::deserialize(json).map(Some)
}

/// What was written by [`json`].
fn verbatim<'l>(stored: Option<&'l RawValue>, text: Option<&'l str>) -> Result<&'l str, Refusal> {
    match (stored, text) {
        (Some(stored), None) => Ok(stored.get()),
        (None, Some(text)) if serde_json::from_str::<IgnoredAny>(text).is_ok() => Ok(text),
        (None, Some(_)) => Err(unreadable("what was stored is not JSON")),
        _ => Err(unreadable("JSON that was stored comes once, as it stands or as a text")),
    }
}

fn time(micros: i64) -> Result<DateTime<Utc>, Refusal> {
    DateTime::from_timestamp_micros(micros).ok_or_else(|| unreadable("there is no such time"))
}

fn fingerprint(digits: &str) -> Result<Fingerprint, Refusal> {
    let mut bytes = [0; 32];
    let is_one = digits.len() == 64
        && bytes.iter_mut().enumerate().all(|(at, byte)| {
            let read = digits.get(2 * at..2 * at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
            read.map(|read| *byte = read).is_some()
        });
    if is_one { Ok(Fingerprint::from_bytes(bytes)) } else { Err(unreadable("its fingerprint is none")) }
}
