//! The file of stored events: its lines, and what is added to them.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    path::Path,
};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Name, UPDATE, change_advice};
use crate::testing::json_shape::JsonShape;

/// One line of the file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Line {
    #[serde(rename = "type")]
    pub(super) event_type: String,
    pub(super) schema_version: u32,
    pub(super) payload: Box<RawValue>,
}

/// A sample that the file does not hold yet.
pub(super) struct Missing {
    pub(super) line: Line,
    pub(super) shape: JsonShape,
    /// How it differs from the stored event that is most like it.
    pub(super) closest: Vec<String>,
}

impl Missing {
    pub(super) fn name(&self) -> Name {
        (self.line.event_type.clone(), self.line.schema_version)
    }

    pub(super) fn problem(&self) -> String {
        let (event_type, schema_version) = (&self.line.event_type, self.line.schema_version);
        let place = format!("{event_type:?} in schema version {schema_version} is not in the file");
        let advice = format!("run this test once with {UPDATE}=1 and commit the file");
        if self.closest.is_empty() {
            return format!("{place} yet\n   {advice}");
        }
        format!(
            "{place} in the shape of its sample\n   {}\n   {}\n   if it could always have this shape, {advice}",
            self.closest.join("\n   "),
            change_advice(event_type, schema_version)
        )
    }
}

/// Reads the file; one that is not there is empty.
pub(super) fn read(file: &Path) -> io::Result<String> {
    match fs::read_to_string(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        read => read,
    }
}

/// Adds lines at the end of the file; what is there stays as it is.
pub(super) fn add(file: &Path, text: &str, missing: &[Missing]) -> io::Result<()> {
    if missing.is_empty() {
        return Ok(());
    }
    let mut lines = String::new();
    if !text.is_empty() && !text.ends_with('\n') {
        lines.push('\n');
    }
    for missing in missing {
        // Between the tokens of a payload there may be line breaks; within its strings there are none.
        lines.push_str(&serde_json::to_string(&missing.line)?.replace(['\n', '\r'], " "));
        lines.push('\n');
    }
    OpenOptions::new().create(true).append(true).open(file)?.write_all(lines.as_bytes())
}
