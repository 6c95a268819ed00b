//! A committed file of stored events, held against today's code.

mod file;

use std::{collections::BTreeSet, fmt::Write as _, io, marker::PhantomData, path::Path};

use serde_json::value::RawValue;

use self::file::{Line, Missing};
use super::{json_shape::JsonShape, round_trip};
use crate::domain::{Aggregate, EventError, Upcasters, decode_event, encode_event, event_types};

/// Adds missing lines to the file instead of failing, where it is set to `1`.
const UPDATE: &str = "ANNALS_UPDATE_STORED_NAMES";

/// Checks that every event stored so far can still be read.
///
/// Renamed events and changed shapes fail a test.
///
/// The file holds one stored event per line, as JSON: at least one for each event type and schema version that was
/// ever stored. Commit it, and never change a line: it stands for rows in somebody's database. `samples` are events of
/// today, at least one of each variant; fill their optional fields and lists, so that these are looked at too.
///
/// Run the test with `ANNALS_UPDATE_STORED_NAMES=1` to add the samples whose type, schema version or shape is not in the
/// file yet. Lines that are there are neither changed nor removed, and what no longer fits them goes on failing.
///
/// ```no_run
/// # use annals::Aggregate;
/// # fn example<Order: Aggregate>(placed: Order::Event, shipped: Order::Event) {
/// annals::testing::assert_stored_names::<Order>([placed, shipped], "tests/stored/order.jsonl");
/// # }
/// ```
///
/// # Panics
///
/// With a list of what is wrong and what to do about it, where
/// - a stored event cannot be read: its variant was renamed or removed, its shape changed without an upcaster, or an
///   upcaster refuses it;
/// - a stored event of today's schema version would be written in another shape today;
/// - a variant has no sample, or a sample cannot be stored;
/// - a type, schema version or shape is not in the file yet, or an upcaster has no stored event to be tested with.
#[track_caller]
#[expect(clippy::panic, reason = "this is how a test fails")]
pub fn assert_stored_names<A: Aggregate>(samples: impl IntoIterator<Item = A::Event>, file: impl AsRef<Path>) {
    let samples: Vec<A::Event> = samples.into_iter().collect();
    let update = std::env::var_os(UPDATE).is_some_and(|value| value == "1");
    if let Err(report) = check::<A>(&samples, file.as_ref(), update) {
        panic!("{report}");
    }
}

/// An event's type and schema version.
type Name = (String, u32);

struct Check<A: Aggregate> {
    upcasters: Upcasters,
    /// What the file holds.
    stored: Vec<(Name, JsonShape)>,
    /// What today's code no longer fits.
    changed: BTreeSet<Name>,
    problems: Vec<String>,
    aggregate: PhantomData<fn() -> A>,
}

fn check<A: Aggregate>(samples: &[A::Event], file: &Path, update: bool) -> Result<(), String> {
    let failed = |what: &str, error: io::Error| format!("{}: {} cannot be {what}: {error}", A::TYPE, file.display());
    let text = file::read(file).map_err(|error| failed("read", error))?;
    let mut check = Check::<A> {
        upcasters: A::upcasters(),
        stored: Vec::new(),
        changed: BTreeSet::new(),
        problems: Vec::new(),
        aggregate: PhantomData,
    };
    for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
        if let Err(problem) = check.stored_line(number, line) {
            check.problems.push(problem);
        }
    }
    let (names, missing) = check.samples(samples)?;
    check.variants(samples, &names)?;
    check.upcasters(&names);
    if update {
        file::add(file, &text, &missing).map_err(|error| failed("written", error))?;
    } else {
        check.problems.extend(missing.iter().map(Missing::problem));
    }
    check.report(file)
}

impl<A: Aggregate> Check<A> {
    /// Reads one stored event as a store would, and writes it again.
    fn stored_line(&mut self, number: usize, text: &str) -> Result<(), String> {
        let unfit =
            |error| format!("line {number} is not a stored event ({error})\n   restore it from version control");
        let line: Line = serde_json::from_str(text).map_err(unfit)?;
        let was = JsonShape::of(&serde_json::from_str(line.payload.get()).map_err(unfit)?);
        let name = (line.event_type, line.schema_version);
        self.stored.push((name.clone(), was.clone()));
        let (event_type, schema_version) = (name.0.as_str(), name.1);
        let place = format!("line {number}, {event_type:?} in schema version {schema_version}");
        let event: A::Event = match decode_event(&self.upcasters, event_type, schema_version, line.payload.get()) {
            Ok(event) => event,
            Err(error) => {
                let advice = self.advice(event_type, schema_version, &error);
                let why = crate::store::with_sources(&error);
                self.changed.insert(name.clone());
                return Err(format!("{place}, can no longer be read\n   {why}\n   {advice}"));
            }
        };
        // What was lifted has another shape, rightly.
        if schema_version != self.upcasters.schema_version(event_type) {
            return Ok(());
        }
        let encoded =
            encode_event(&event).map_err(|error| format!("{place}: {}", crate::store::with_sources(&error)))?;
        let is = JsonShape::of(&serde_json::from_str(&encoded.payload).map_err(unfit)?);
        let differences = was.differences(&is);
        if differences.is_empty() {
            return Ok(());
        }
        self.changed.insert(name.clone());
        // Under another name too: that is where today's events of this kind go.
        self.changed.insert((encoded.event_type.to_owned(), self.upcasters.schema_version(encoded.event_type)));
        let advice = change_advice(event_type, schema_version);
        Err(format!("{place}, has another shape today\n   {}\n   {advice}", differences.join("\n   ")))
    }

    fn advice(&self, event_type: &str, schema_version: u32, error: &EventError) -> String {
        let known = self.upcasters.schema_version(event_type);
        match error {
            EventError::UnknownType { .. } => format!(
                "its variant was renamed or removed: give it #[serde(rename = {event_type:?})] again, or read the old \
                 name as well with #[serde(alias = {event_type:?})]"
            ),
            EventError::NewerSchema { .. } => format!(
                "upcasters of {event_type:?} were taken away: put them back, what is stored stays in its schema version"
            ),
            EventError::Upcast { .. } => "mend the upcaster: it has to lift what is stored".to_owned(),
            _ if schema_version < known => format!(
                "the upcasters of {event_type:?} do not lead to today's shape: mend them, or add the one that is missing"
            ),
            _ => change_advice(event_type, schema_version),
        }
    }

    /// Writes the samples as a store would: the names they cover, and what the file lacks.
    fn samples(&mut self, samples: &[A::Event]) -> Result<(BTreeSet<&'static str>, Vec<Missing>), String> {
        let (mut names, mut missing) = (BTreeSet::new(), Vec::<Missing>::new());
        for (number, sample) in (1..).zip(samples) {
            let encoded = match round_trip::event::<A>(&self.upcasters, sample) {
                Ok((encoded, _)) => encoded,
                Err(why) => {
                    self.problems.push(format!("sample {number} cannot be stored\n   {why}"));
                    // It stands for its variant all the same: one problem is enough.
                    names.extend(encode_event(sample).ok().map(|encoded| encoded.event_type));
                    continue;
                }
            };
            names.insert(encoded.event_type);
            let name = (encoded.event_type.to_owned(), self.upcasters.schema_version(encoded.event_type));
            let payload = RawValue::from_string(encoded.payload).map_err(|error| error.to_string())?;
            let shape = JsonShape::of(&serde_json::from_str(payload.get()).map_err(|error| error.to_string())?);
            let known: Vec<&JsonShape> =
                self.stored.iter().filter(|(of, _)| *of == name).map(|(_, shape)| shape).collect();
            if self.changed.contains(&name) || known.contains(&&shape) {
                continue;
            }
            if missing.iter().any(|other| other.name() == name && other.shape == shape) {
                continue;
            }
            let closest = known.iter().map(|known| known.differences(&shape)).min_by_key(Vec::len).unwrap_or_default();
            let line = Line { event_type: name.0, schema_version: name.1, payload };
            missing.push(Missing { line, shape, closest });
        }
        Ok((names, missing))
    }

    /// Looks for variants without a sample.
    fn variants(&mut self, samples: &[A::Event], sampled: &BTreeSet<&'static str>) -> Result<(), String> {
        let names = event_types::<A::Event>().map_err(|error| format!("{}: {error}", A::TYPE))?;
        let payloads: Vec<String> =
            samples.iter().filter_map(|event| Some(encode_event(event).ok()?.payload)).collect();
        for name in names.iter().filter(|name| !sampled.contains(**name)) {
            // serde names aliases among the variants. Read under an alias, a sample is written under the real name.
            let schema_version = self.upcasters.schema_version(name);
            let is_alias = payloads.iter().any(|payload| {
                let event = decode_event::<A::Event>(&self.upcasters, name, schema_version, payload).ok();
                event.and_then(|event| encode_event(&event).ok()).is_some_and(|again| again.event_type != *name)
            });
            if !is_alias {
                self.problems.push(format!("{name:?} has no sample\n   add an event of this variant to the samples"));
            }
        }
        Ok(())
    }

    /// Looks for upcasters that nothing goes through.
    fn upcasters(&mut self, sampled: &BTreeSet<&'static str>) {
        for event_type in self.upcasters.event_types() {
            let is_stored = self.stored.iter().any(|((stored, _), _)| stored == event_type);
            if !is_stored && !sampled.contains(event_type) {
                self.problems.push(format!(
                    "an upcaster is given for {event_type:?}, which is no event type\n   mend its name: upcasters go by \
                     the name that is stored"
                ));
                continue;
            }
            for version in 1..self.upcasters.schema_version(event_type) {
                if !self.stored.iter().any(|((stored, of), _)| stored == event_type && *of == version) {
                    self.problems.push(format!(
                        "{event_type:?} in schema version {version} is not in the file, so its upcaster is not tested\n   \
                         restore the line from version control, or write one as it is stored: {{\"type\":{event_type:?},\
                         \"schema_version\":{version},\"payload\":…}}"
                    ));
                }
            }
        }
    }

    fn report(self, file: &Path) -> Result<(), String> {
        if self.problems.is_empty() {
            return Ok(());
        }
        let mut report = format!("{}: stored events and today's code do not fit, see {}\n", A::TYPE, file.display());
        for (number, problem) in (1..).zip(&self.problems) {
            let _ = write!(report, "\n{number}. {problem}\n");
        }
        Err(report)
    }
}

fn change_advice(event_type: &str, schema_version: u32) -> String {
    format!(
        "undo the change, or add .upcast({event_type:?}, …), which lifts schema version {schema_version} to {}: the new \
         shape is stored under that",
        schema_version.saturating_add(1)
    )
}

#[cfg(test)]
mod tests;
