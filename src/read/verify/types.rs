//! The types of events, against those that are known.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};

use super::FindingKind;
use crate::{
    domain::is_valid_type_name,
    store::{EventRef, is_valid_event_type},
};

/// Names a type of events that some code can read.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct KnownType {
    /// The type of the aggregate.
    pub aggregate_type: String,
    /// The type of the event.
    pub event_type: String,
    /// The shape of the event.
    pub schema_version: u32,
}

/// By aggregate type and event type, the schema versions.
type Versions = HashMap<String, HashMap<String, HashSet<u32>>>;

/// Knows the types there may be.
#[derive(Debug, Default)]
pub(super) struct Types {
    known: Option<Versions>,
}

impl Types {
    pub(super) fn know(&mut self, types: impl IntoIterator<Item = KnownType>) {
        let known = self.known.get_or_insert_default();
        for KnownType { aggregate_type, event_type, schema_version } in types {
            known.entry(aggregate_type).or_default().entry(event_type).or_default().insert(schema_version);
        }
    }

    /// What is wrong with the type of an event.
    pub(super) fn wrong(&self, event: &EventRef<'_>) -> Option<(FindingKind, String)> {
        let EventRef { aggregate_type, event_type, schema_version, .. } = *event;
        let invalid = |what: String| Some((FindingKind::TypeInvalid, what));
        if !is_valid_type_name(aggregate_type) {
            return invalid(format!("has the aggregate type {}, which no append takes", quoted(aggregate_type)));
        }
        if !is_valid_event_type(event_type) {
            return invalid(format!("has the event type {}, which no append takes", quoted(event_type)));
        }
        if schema_version == 0 || i32::try_from(schema_version).is_err() {
            return invalid(format!("has the schema version {schema_version}, which no append takes"));
        }
        let known = self.known.as_ref()?;
        let unknown = |what: String| Some((FindingKind::UnknownType, what));
        let Some(of_aggregate) = known.get(aggregate_type) else {
            return unknown(format!("has the aggregate type {}, which is not known", quoted(aggregate_type)));
        };
        let Some(versions) = of_aggregate.get(event_type) else {
            let (of, event_type) = (quoted(aggregate_type), quoted(event_type));
            return unknown(format!("has the type {event_type}, which is not known of the aggregate type {of}"));
        };
        if !versions.contains(&schema_version) {
            let event_type = quoted(event_type);
            return unknown(format!(
                "has the type {event_type} in schema version {schema_version}, which is not known"
            ));
        }
        None
    }
}

/// A name that may be anything, so much of it that it can be told.
fn quoted(name: &str) -> String {
    const SHOWN: usize = 80;
    match name.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{:?}… of {} bytes", &name[..end], name.len()),
        None => format!("{name:?}"),
    }
}
