//! Each way in which stored events and code can part.

use std::{fs, path::PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::json;
use tempfile::TempDir;

use super::check;
use crate::domain::{Aggregate, Upcasters};

#[derive(Debug, Serialize, Deserialize, thiserror::Error)]
#[error("no")]
struct No;

/// An aggregate that is nothing but its events.
macro_rules! account {
    ($name:ident, $event:ident { $($variants:tt)* } $(, $upcasters:expr)?) => {
        #[derive(Default)]
        struct $name;
        #[derive(Serialize, Deserialize)]
        #[serde(tag = "type", content = "data", rename_all = "kebab-case")]
        enum $event { $($variants)* }
        impl Aggregate for $name {
            const TYPE: &'static str = "account";
            type Command = ();
            type Event = $event;
            type Rejection = No;
            fn decide(&self, (): &()) -> Result<Vec<$event>, No> { Ok(vec![]) }
            fn evolve(&mut self, _: &$event) {}
            $(fn upcasters() -> Upcasters { $upcasters })?
        }
    };
}

account!(Account, Event { Opened, Paid { amount: u64, to: Option<String> }, Noted(Vec<String>) });

fn samples() -> [Event; 3] {
    [Event::Opened, Event::Paid { amount: 5, to: Some("a".into()) }, Event::Noted(vec!["b\n".into()])]
}

/// A file with what `Account` has stored.
const STORED: &str = r#"{"type":"opened","schema_version":1,"payload":null}
{"type":"paid","schema_version":1,"payload":{"amount":5,"to":"a"}}
{"type":"noted","schema_version":1,"payload":["b\n"]}
"#;

struct Stored(TempDir);

impl Stored {
    fn of(text: &str) -> Self {
        let it = Self(tempfile::tempdir().unwrap());
        fs::write(it.file(), text).unwrap();
        it
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("account.jsonl")
    }

    fn text(&self) -> String {
        fs::read_to_string(self.file()).unwrap()
    }
}

/// The problems found in a file, also where it is updated; the file stays as it is.
#[track_caller]
fn problems<A: Aggregate>(stored: &str, samples: &[A::Event]) -> String {
    let file = Stored::of(stored);
    let report = check::<A>(samples, &file.file(), false).unwrap_err();
    assert_eq!(file.text(), stored, "a check writes nothing");
    let (head, problems) = report.split_once("\n\n").unwrap();
    let place = file.file();
    assert_eq!(head, format!("account: stored events and today's code do not fit, see {}", place.display()));
    problems.to_owned()
}

/// That an update changes nothing about these problems, nor the lines that are there.
#[track_caller]
fn stays_with_update<A: Aggregate>(stored: &str, samples: &[A::Event], problem: &str) {
    let file = Stored::of(stored);
    let report = check::<A>(samples, &file.file(), true).unwrap_err();
    assert!(report.contains(problem), "{report}");
    assert!(file.text().starts_with(stored), "{}", file.text());
}

#[test]
fn a_new_file_is_filled_by_an_update_and_fits_from_then_on() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("account.jsonl");
    let report = check::<Account>(&samples(), &file, false).unwrap_err();
    assert!(!file.exists());
    assert_eq!(report.matches("is not in the file yet").count(), 3, "{report}");
    let advice = "3. \"noted\" in schema version 1 is not in the file yet\n   run this test once with \
                  ANNALS_UPDATE_STORED_NAMES=1 and commit the file\n";
    assert!(report.ends_with(advice), "{report}");
    check::<Account>(&samples(), &file, true).unwrap();
    assert_eq!(fs::read_to_string(&file).unwrap(), STORED);
    check::<Account>(&samples(), &file, false).unwrap();
    check::<Account>(&samples(), &file, true).unwrap();
    assert_eq!(fs::read_to_string(&file).unwrap(), STORED, "an update is made once");
}

#[test]
fn other_values_in_the_same_shape_fit() {
    let others = [Event::Opened, Event::Paid { amount: 0, to: Some(String::new()) }, Event::Noted(vec!["c".into(); 2])];
    check::<Account>(&others, &Stored::of(STORED).file(), false).unwrap();
}

#[test]
fn an_update_adds_at_the_end_and_leaves_the_rest() {
    let odd = "{\"schema_version\":1, \"type\":\"opened\",\"payload\": null}\r\n\n{\"type\":\"noted\",\"schema_version\":1,\"payload\":[ \"x\" ]}";
    let file = Stored::of(odd);
    check::<Account>(&samples(), &file.file(), true).unwrap();
    let paid = r#"{"type":"paid","schema_version":1,"payload":{"amount":5,"to":"a"}}"#;
    assert_eq!(file.text(), format!("{odd}\n{paid}\n"));
}

#[test]
fn a_renamed_or_removed_variant_fails_unless_the_old_name_is_read_too() {
    account!(Renamed, Now { Opened, Sent { amount: u64, to: Option<String> }, Noted(Vec<String>) });
    let sent = || [Now::Opened, Now::Sent { amount: 1, to: Some("a".into()) }, Now::Noted(vec!["b".into()])];
    let expected = r#"1. line 2, "paid" in schema version 1, can no longer be read
   unknown event type "paid"; known: opened, sent, noted
   its variant was renamed or removed: give it #[serde(rename = "paid")] again, or read the old name as well with #[serde(alias = "paid")]

2. "sent" in schema version 1 is not in the file yet
   run this test once with ANNALS_UPDATE_STORED_NAMES=1 and commit the file
"#;
    assert_eq!(problems::<Renamed>(STORED, &sent()), expected);
    stays_with_update::<Renamed>(STORED, &sent(), "unknown event type \"paid\"");

    account!(Aliased, Both {
        Opened,
        #[serde(alias = "paid")] Sent { amount: u64, to: Option<String> },
        Noted(Vec<String>)
    });
    let sent = || [Both::Opened, Both::Sent { amount: 1, to: Some("a".into()) }, Both::Noted(vec!["b".into()])];
    let file = Stored::of(STORED);
    check::<Aliased>(&sent(), &file.file(), true).unwrap();
    check::<Aliased>(&sent(), &file.file(), false).unwrap();
    assert!(file.text().contains("\"paid\"") && file.text().contains("\"sent\""), "{}", file.text());
}

#[test]
fn a_changed_shape_without_an_upcaster_fails_with_or_without_update() {
    // What is stored cannot be read.
    account!(Unreadable, Text { Opened, Paid { amount: String, to: Option<String> }, Noted(Vec<String>) });
    let text = [Text::Opened, Text::Paid { amount: "5".into(), to: Some("a".into()) }, Text::Noted(vec!["b".into()])];
    let report = problems::<Unreadable>(STORED, &text);
    let cannot = "1. line 2, \"paid\" in schema version 1, can no longer be read\n   payload of event type \"paid\" does not fit: ";
    let advice = "\n   undo the change, or add .upcast(\"paid\", …), which lifts schema version 1 to 2: the new shape is \
                  stored under that\n";
    assert!(report.starts_with(cannot) && report.ends_with(advice), "{report}");
    assert_eq!(report.lines().count(), 3, "{report}");
    stays_with_update::<Unreadable>(STORED, &text, "can no longer be read");
    let file = Stored::of(STORED);
    check::<Unreadable>(&text, &file.file(), true).unwrap_err();
    assert_eq!(file.text(), STORED, "a conflicting sample is not added");

    // What is stored can be read, but a field is new and another is lost in silence.
    account!(Lossy, Fewer { Opened, Paid { amount: u64, by: Option<String> }, Noted(Vec<String>) });
    let fewer = [Fewer::Opened, Fewer::Paid { amount: 5, by: Some("a".into()) }, Fewer::Noted(vec!["b".into()])];
    let expected = r#"1. line 2, "paid" in schema version 1, has another shape today
   - data.to: string
   + data.by: null
   undo the change, or add .upcast("paid", …), which lifts schema version 1 to 2: the new shape is stored under that
"#;
    assert_eq!(problems::<Lossy>(STORED, &fewer), expected);
    stays_with_update::<Lossy>(STORED, &fewer, "has another shape today");
}

#[test]
fn a_changed_shape_with_an_upcaster_is_a_new_schema_version() {
    account!(
        Lifted,
        Split { Opened, Paid { pence: u64 }, Noted(Vec<String>) },
        Upcasters::none().upcast("paid", |old| Ok(json!({ "pence": old["amount"].as_u64().ok_or("no amount")? * 100 })))
    );
    let split = [Split::Opened, Split::Paid { pence: 500 }, Split::Noted(vec!["b".into()])];
    assert!(problems::<Lifted>(STORED, &split).starts_with("1. \"paid\" in schema version 2 is not in the file yet\n"));
    let file = Stored::of(STORED);
    check::<Lifted>(&split, &file.file(), true).unwrap();
    assert_eq!(file.text(), format!("{STORED}{}\n", r#"{"type":"paid","schema_version":2,"payload":{"pence":500}}"#));
    check::<Lifted>(&split, &file.file(), false).unwrap();

    // The upcaster is taken away again, refuses what is stored, or leads elsewhere.
    let lifted = file.text();
    let report = problems::<Account>(&lifted, &samples());
    assert!(report.contains("upcasters of \"paid\" were taken away: put them back"), "{report}");
    let odd = STORED.replace("\"amount\":5", "\"amount\":-5");
    let report = problems::<Lifted>(&odd, &split);
    assert!(report.contains("from schema version 1 failed: no amount\n   mend the upcaster"), "{report}");
    account!(
        Astray,
        Stray { Opened, Paid { pence: u64 }, Noted(Vec<String>) },
        Upcasters::none().upcast("paid", |_| Ok(json!({ "pennies": 1 })))
    );
    let stray = [Stray::Opened, Stray::Paid { pence: 500 }, Stray::Noted(vec!["b".into()])];
    let report = problems::<Astray>(&lifted, &stray);
    assert!(
        report.contains("\n   the upcasters of \"paid\" do not lead to today's shape: mend them, or add the one"),
        "{report}"
    );
}

#[test]
fn an_upcaster_needs_a_stored_event_and_a_name_that_exists() {
    account!(Misnamed, Plain { Opened }, Upcasters::none().upcast("openend", Ok).upcast("opened", Ok));
    let expected = r#"1. an upcaster is given for "openend", which is no event type
   mend its name: upcasters go by the name that is stored

2. "opened" in schema version 1 is not in the file, so its upcaster is not tested
   restore the line from version control, or write one as it is stored: {"type":"opened","schema_version":1,"payload":…}
"#;
    let stored = "{\"type\":\"opened\",\"schema_version\":2,\"payload\":null}\n";
    assert_eq!(problems::<Misnamed>(stored, &[Plain::Opened]), expected);
}

#[test]
fn every_variant_needs_a_sample_but_an_alias_does_not() {
    let report = problems::<Account>(STORED, &samples()[..2]);
    assert_eq!(report, "1. \"noted\" has no sample\n   add an event of this variant to the samples\n");
    account!(
        Aliased,
        Both {
            #[serde(alias = "ajar", alias = "unlocked")]
            Opened,
            Closed
        }
    );
    let stored = "{\"type\":\"opened\",\"schema_version\":1,\"payload\":null}\n";
    let report = problems::<Aliased>(stored, &[Both::Opened]);
    assert_eq!(report, "1. \"closed\" has no sample\n   add an event of this variant to the samples\n");
}

#[test]
fn a_shape_that_was_always_possible_is_added_beside_the_others() {
    let mut more: Vec<Event> = samples().into();
    more.push(Event::Paid { amount: 1, to: None });
    let expected = r#"1. "paid" in schema version 1 is not in the file in the shape of its sample
   - data.to: string
   + data.to: null
   undo the change, or add .upcast("paid", …), which lifts schema version 1 to 2: the new shape is stored under that
   if it could always have this shape, run this test once with ANNALS_UPDATE_STORED_NAMES=1 and commit the file
"#;
    assert_eq!(problems::<Account>(STORED, &more), expected);
    let file = Stored::of(STORED);
    check::<Account>(&more, &file.file(), true).unwrap();
    check::<Account>(&more, &file.file(), false).unwrap();
    check::<Account>(&samples(), &file.file(), false).unwrap();
}

#[test]
fn what_is_no_stored_event_or_cannot_be_one_is_named() {
    let report = problems::<Account>(&STORED.replace("null}", "null"), &samples());
    assert!(report.starts_with("1. line 1 is not a stored event (EOF while parsing an object"), "{report}");
    account!(Infinite, Real { Opened, Paid { amount: f64, to: Option<String> }, Noted(Vec<String>) });
    let real = [Real::Opened, Real::Paid { amount: f64::NAN, to: None }, Real::Noted(vec!["b".into()])];
    let report = problems::<Infinite>(STORED, &real);
    assert!(report.starts_with("1. sample 2 cannot be stored\n   it is stored as \"paid\""), "{report}");
    let folder = tempfile::tempdir().unwrap();
    let report = check::<Account>(&samples(), folder.path(), false).unwrap_err();
    assert!(report.contains("cannot be read: "), "{report}");
}
