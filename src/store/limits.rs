//! Bounds on everything that comes in.

#[cfg(any(feature = "sqlite", feature = "postgres", feature = "client"))]
use std::{ops::RangeInclusive, time::Duration};

use super::{Append, Error, ReceiptOutcome};
use crate::domain::is_valid_type_name;

/// Bounds what a store takes. Checked before anything is sent to the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The most bytes of an event's payload, and of a rejection. Default: 1 MiB.
    pub event_bytes: usize,
    /// The most bytes of an append's metadata as JSON. Default: 64 KiB.
    pub metadata_bytes: usize,
    /// The most events of one append. Default: 500.
    pub append_events: usize,
    /// The most bytes of one append's payloads. Default: 4 MiB.
    ///
    /// Also of the appends that share a commit.
    pub append_bytes: usize,
    /// The most appends that share a commit. Default: 512; 1: each has its own.
    ///
    /// Where several commits are made at once, one with 512 events is full as well.
    pub commit_appends: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            event_bytes: 1 << 20,
            metadata_bytes: 64 << 10,
            append_events: 500,
            append_bytes: 4 << 20,
            commit_appends: 512,
        }
    }
}

/// The most bytes of an event's type.
const EVENT_TYPE_BYTES: usize = 255;

impl Limits {
    /// Checks an append against the bounds.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`], naming the bound: nothing was sent, mend the call.
    pub fn check(&self, append: &Append) -> Result<(), Error> {
        if !is_valid_type_name(&append.aggregate_type) {
            return Err(Error::invalid(format!(
                "an aggregate type is kebab-case, 1 to 64 bytes: {:?} is not",
                shortened(&append.aggregate_type)
            )));
        }
        if append.events.is_empty() && append.key.is_none() {
            return Err(Error::invalid("an append has events, or a key under which to remember that it has none"));
        }
        if let ReceiptOutcome::Rejected { rejection } = &append.outcome {
            if !append.events.is_empty() || append.key.is_none() {
                return Err(Error::invalid("a rejection is recorded under a key, and instead of events"));
            }
            bounded("bytes in a rejection", rejection.len(), self.event_bytes)?;
            if serde_json::from_str::<serde::de::IgnoredAny>(rejection).is_err() {
                return Err(Error::invalid("a rejection is recorded as JSON"));
            }
            check_depth(rejection)?;
        }
        bounded("events in an append", append.events.len(), self.append_events)?;
        for event in append.events.iter() {
            check_event_type(&event.event_type)?;
            if event.schema_version == 0 || i32::try_from(event.schema_version).is_err() {
                return Err(Error::invalid("a schema version is at least 1 and fits 31 bits"));
            }
            bounded("bytes in a payload", event.payload.len(), self.event_bytes)?;
            check_depth(&event.payload)?;
        }
        bounded("bytes in an append's payloads", append.payload_bytes(), self.append_bytes)?;
        match &append.key {
            Some(request) if request.keep_for.is_some_and(|time| time.is_zero()) => {
                Err(Error::invalid("a receipt that is kept for no time protects nothing"))
            }
            _ => bounded("bytes in an append's metadata", append.metadata.to_json()?.len(), self.metadata_bytes),
        }
    }
}

/// How deep JSON may be nested: what is deeper serde_json does not read back.
const JSON_DEPTH: usize = 127;

/// Makes sure that JSON can be read back.
pub(super) fn check_depth(json: &str) -> Result<(), Error> {
    let (mut depth, mut is_text, mut is_escaped) = (0_usize, false, false);
    for byte in json.bytes() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_text => is_escaped = true,
            b'"' => is_text = !is_text,
            b'[' | b'{' if !is_text => {
                depth += 1;
                bounded("levels in JSON", depth, JSON_DEPTH)?;
            }
            b']' | b'}' if !is_text => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

/// Makes sure that there is not too much of something.
pub(super) fn bounded(what: &str, found: usize, most: usize) -> Result<(), Error> {
    if found > most {
        return Err(Error::invalid(format!("too many {what}: {found}, at most {most}")));
    }
    Ok(())
}

/// The shortest and the longest lease on a request, or on a call.
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "client"))]
const LEASES: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(24 * 60 * 60);

/// Makes sure that a lease on a request, or on a call, can be stored.
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "client"))]
pub(crate) fn check_lease(length: Duration) -> Result<(), Error> {
    if !LEASES.contains(&length) {
        return Err(Error::invalid(format!("a lease lasts from 1 ms to 24 h, not {length:?}")));
    }
    Ok(())
}

/// Tells whether events of this type can be appended.
pub(crate) fn is_valid_event_type(name: &str) -> bool {
    !name.is_empty() && name.len() <= EVENT_TYPE_BYTES && !name.chars().any(char::is_control)
}

fn check_event_type(name: &str) -> Result<(), Error> {
    if !is_valid_event_type(name) {
        return Err(Error::invalid(format!(
            "an event type has 1 to {EVENT_TYPE_BYTES} bytes and no control characters: {:?} does not",
            shortened(name)
        )));
    }
    Ok(())
}

fn shortened(name: &str) -> String {
    name.chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::check_depth;

    #[test]
    fn json_is_as_deep_as_its_brackets_outside_of_texts() {
        let deep = |levels: usize| format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
        for sound in [deep(127), format!("{:?}", "[".repeat(500)), r#"["\"[[["]"#.to_owned(), "[],".repeat(500)] {
            assert!(check_depth(&sound).is_ok(), "{sound}");
        }
        assert!(check_depth(&deep(128)).unwrap_err().to_string().contains("levels in JSON"));
        assert!(check_depth(&format!("[{}{}]", r#""\\","#, deep(127))).is_err());
    }
}
