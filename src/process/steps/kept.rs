//! What is kept of a step beside its state.

use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

/// What part a step has in a compensation. Kept with it: an attempt that does not come to the step has to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Role {
    /// It has none: there is nothing to undo.
    Plain,
    /// It is undone.
    Undoable,
    /// It was begun when everything before it had been undone, such as a notice that nothing came of it.
    Afterwards,
}

/// The stored result: with the step's role, since a column for it would be empty nearly everywhere.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Kept {
    pub(super) role: Role,
    /// The result, or the reason of a refusal; none: it has not come to one. `null` is a result.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub(super) value: Option<Box<RawValue>>,
}

fn present<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Box<RawValue>>, D::Error> {
    Deserialize::deserialize(from).map(Some)
}

impl Kept {
    pub(super) const fn of(role: Role, value: Option<Box<RawValue>>) -> Self {
        Self { role, value }
    }

    pub(super) fn read(stored: Option<&str>) -> Result<Self, serde_json::Error> {
        stored.map_or(Ok(Self::of(Role::Plain, None)), serde_json::from_str)
    }

    pub(super) fn write(&self) -> Result<Arc<str>, serde_json::Error> {
        serde_json::to_string(self).map(Arc::from)
    }
}

#[cfg(test)]
mod tests {
    use super::{Kept, Role};

    #[test]
    fn a_result_that_is_null_is_a_result() {
        for (value, stored) in [
            (None, r#"{"role":"undoable"}"#),
            (Some("null"), r#"{"role":"undoable","value":null}"#),
            (Some("[1]"), r#"{"role":"undoable","value":[1]}"#),
        ] {
            let value = value.map(|json| serde_json::value::RawValue::from_string(json.to_owned()).unwrap());
            let written = Kept::of(Role::Undoable, value.clone()).write().unwrap();
            assert_eq!(&*written, stored);
            let read = Kept::read(Some(stored)).unwrap();
            assert_eq!(read.value.map(|json| json.to_string()), value.map(|json| json.to_string()));
        }
    }
}
