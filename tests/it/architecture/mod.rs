//! Holds the table of rooms: which may use which, and what no file may do.

mod paths;
mod tree;

use std::path::Path;

use paths::Finding;

/// Each room with the rooms it may use. A room also uses itself.
const ROOMS: [(&str, &[&str]); 13] = [
    ("domain", &[]),
    ("store", &["domain"]),
    ("command", &["domain", "store"]),
    ("read", &["domain", "store"]),
    ("process", &["domain", "store", "command", "read"]),
    ("transfer", &["domain", "store"]),
    ("http", &["domain", "store", "command", "read", "process"]),
    ("sqlite", &["domain", "store"]),
    ("postgres", &["domain", "store"]),
    ("redis", &["domain", "store"]),
    ("nats", &["domain", "store", "process"]),
    ("testing", &["domain", "store", "command", "read", "process"]),
    // A crate of its own: what it calls `crate` is itself, and the library it sees as every user does.
    ("bin", &[]),
];

/// What the pure room may not name: whatever waits, reads a disk or asks for the time.
const IMPURE_CRATES: [&str; 8] =
    ["sqlx", "tokio", "async_trait", "futures_util", "backon", "fastrand", "metrics", "tracing"];
const IMPURE_NAMES: [&str; 4] = ["SystemTime", "Instant", "Utc::now", "Local::now"];
const IMPURE_STD: [&str; 5] = ["std::fs", "std::net", "std::thread", "std::process", "std::env"];

/// `Id::new` makes a version 7 UUID: the one place in the domain that asks for the time, and says so.
const ID_FILE: &str = "src/domain/id.rs";

fn allowed(room: &str) -> Option<&'static [&'static str]> {
    ROOMS.iter().find(|(name, _)| *name == room).map(|(_, allowed)| *allowed)
}

/// Checks one source file under `src/`; `path` is relative to the repository.
fn check_source(path: &str, source: &str) -> Vec<String> {
    let file = match syn::parse_file(source) {
        Ok(file) => file,
        Err(error) => return vec![format!("{path}: cannot be parsed: {error}")],
    };
    let module = paths::module_of(path);
    let room = match module.first() {
        None => return paths::check_front_page(path, &file),
        Some(room) => room.clone(),
    };
    let Some(allowed) = allowed(&room) else {
        return vec![format!("{path}:1: src/{room} is no room of the table")];
    };
    let mut wrong = Vec::new();
    if room == "bin" {
        return wrong;
    }
    for Finding { line, path: segments } in paths::of_file(&file, &module) {
        let Some(first) = segments.first() else {
            wrong.push(format!("{path}:{line}: {room} takes the whole crate, not a room"));
            continue;
        };
        let used = first.as_str();
        if used == room || allowed.contains(&used) {
            continue;
        }
        wrong.push(if self::allowed(used).is_some() {
            format!("{path}:{line}: {room} uses {used}: crate::{}", segments.join("::"))
        } else {
            format!("{path}:{line}: {room} goes through the front page: crate::{}", segments.join("::"))
        });
    }
    if room == "domain" {
        wrong.extend(paths::impurities(&file).into_iter().filter_map(|(line, what)| {
            let excused = path == ID_FILE && what.contains("now_v7");
            (!excused).then(|| format!("{path}:{line}: the domain is pure, but here is {what}"))
        }));
    }
    wrong
}

fn none(wrong: &[String]) {
    assert!(wrong.is_empty(), "{} found:\n{}", wrong.len(), wrong.join("\n"));
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn rooms_use_only_the_rooms_they_may() {
    let files = tree::files_under(root(), &["src"], "rs");
    assert!(files.len() > 20, "only {} source files were found", files.len());
    let wrong: Vec<_> = files.iter().flat_map(|(path, source)| check_source(path, source)).collect();
    none(&wrong);
}

#[test]
fn files_have_one_noun_and_its_name() {
    none(&tree::oddities(root()));
}

#[test]
fn the_docs_of_a_public_item_begin_with_a_line_of_at_most_80_characters() {
    let files = tree::files_under(root(), &["src"], "rs");
    // The suite's cases are sentences of their own.
    let read = files.iter().filter(|(path, _)| !path.contains("/conformance/"));
    none(&read.flat_map(|(path, source)| tree::long_first_lines(path, source)).collect::<Vec<_>>());
    let planted =
        format!("/// {}\n#[must_use]\npub fn f() {{}}\n/// {}\nfn own() {{}}", "x".repeat(81), "x".repeat(81));
    assert_eq!(tree::long_first_lines("src/x.rs", &planted).len(), 1);
}

#[test]
fn every_statement_begins_with_what_it_does() {
    let files = tree::files_under(root(), &["src", "migrations", "examples", "tests"], "sql");
    assert!(files.len() > 10, "only {} statements were found", files.len());
    let wrong: Vec<_> = files.iter().filter_map(|(path, sql)| tree::check_first_line(path, sql)).collect();
    none(&wrong);
}

#[test]
fn migrations_have_the_same_names_on_both_sides() {
    let names = |side: &str| -> Vec<String> {
        let files = tree::files_under(root(), &[&format!("migrations/{side}")], "sql");
        files.into_iter().filter_map(|(path, _)| path.rsplit('/').next().map(str::to_owned)).collect()
    };
    let (sqlite, postgres) = (names("sqlite"), names("postgres"));
    assert!(!sqlite.is_empty());
    if !postgres.is_empty() {
        assert_eq!(sqlite, postgres);
    }
}

#[test]
fn committed_texts_speak_of_the_project_alone() {
    none(&tree::strange_words(root()));
}

/// Each planted file breaks one rule; the checker names the line.
#[test]
fn planted_violations_are_caught() {
    let planted = [
        ("src/domain/x.rs", "use crate::store::Error;", 1),
        ("src/domain/event/x.rs", "\nuse super::super::super::store::Error;", 2),
        ("src/domain/x.rs", "mod inner {\n use super::super::super::sqlite::A;\n}", 2),
        ("src/store/x.rs", "use crate::{domain::Id, command::{self, Retry}};", 1),
        ("src/store/x.rs", "\n\nfn f() { crate::sqlite::open(); }", 3),
        ("src/store/x.rs", "fn f(_: &crate::command::Retry) {}", 1),
        ("src/store/x.rs", "fn f(x: u8) { match x { crate::read::ZERO => {} _ => {} } }", 1),
        ("src/store/x.rs", "type T = Vec<Option<crate::process::Step>>;", 1),
        ("src/store/x.rs", "impl crate::http::Layer for T {}", 1),
        ("src/store/x.rs", "fn f() { println!(\"{}\",\n crate::sqlite::X); }", 2),
        ("src/store/x.rs", "macro_rules! m { () => { $crate::command::append() }; }", 1),
        ("src/store/x.rs", "macro_rules! m { () => { use $crate::{domain::A, command::B}; }; }", 1),
        ("src/store/x.rs", "#[serde(with = \"crate::command::time\")] struct S;", 1),
        ("src/store/x.rs", "#[tracing::instrument(fields(a = crate::command::A))] fn f() {}", 1),
        ("src/command/x.rs", "use crate::read::Projector;", 1),
        ("src/read/x.rs", "use crate::process::Step;", 1),
        ("src/process/x.rs", "use crate::http::Problem;", 1),
        ("src/sqlite/x.rs", "use crate::command::Retry;", 1),
        ("src/postgres/x.rs", "use crate::sqlite::Row;", 1),
        ("src/testing/x.rs", "use crate::sqlite::SqliteStore;", 1),
        ("src/command/x.rs", "use crate::testing::Faulty;", 1),
        ("src/http/x.rs", "use crate::redis::Cache;", 1),
        ("src/command/x.rs", "use crate::SqliteStore;", 1),
        ("src/command/x.rs", "use crate::*;", 1),
        ("src/command/x.rs", "use super::super as whole;", 1),
        ("src/command/x.rs", "use crate as whole;", 1),
        ("src/tools/x.rs", "fn f() {}", 1),
        ("src/lib.rs", "pub mod store;\nfn f() {}", 2),
        ("src/domain/x.rs", "async fn f() {}", 1),
        ("src/domain/x.rs", "fn f() -> impl Future { async { 1 } }", 1),
        ("src/domain/x.rs", "use tokio::time::sleep;", 1),
        ("src/domain/x.rs", "fn f(_: sqlx::Error) {}", 1),
        ("src/domain/x.rs", "fn f() { chrono::Utc::now(); }", 1),
        ("src/domain/x.rs", "use std::time::{Duration, SystemTime};", 1),
        ("src/domain/x.rs", "fn f() { let _ = std::time::Instant::now(); }", 1),
        ("src/domain/x.rs", "fn f() { println!(\"{:?}\", Instant::now()); }", 1),
        ("src/domain/x.rs", "fn f() { std::fs::read(\"x\"); }", 1),
        ("src/domain/x.rs", "fn f() { Uuid::now_v7(); }", 1),
    ];
    for (path, source, line) in planted {
        let found = check_source(path, source);
        let place = format!("{path}:{line}:");
        assert!(found.iter().any(|wrong| wrong.starts_with(&place)), "{source:?} in {path} gave {found:?}");
    }
}

#[test]
fn what_is_allowed_is_not_reported() {
    let sound = [
        ("src/domain/x.rs", "use super::Upcasters;\nuse crate::domain::Id;\npub(crate) fn f() {}"),
        ("src/domain/x.rs", "/// See [`crate::sqlite::SqliteStore`].\npub(in crate::domain) struct S;"),
        ("src/domain/x.rs", "//! `crate::command::Repository`\nfn f() { let s = \"crate::command\"; }"),
        ("src/store/x.rs", "use crate::domain::{Aggregate, Id};\nmod tests { use super::super::Error; }"),
        ("src/store/x.rs", "fn f(&self) { self.command.run(); self::inner(); Self::outer(); command::local(); }"),
        ("src/http/client/x.rs", "use crate::{command::Retry, read::Projector, process::Step, store, domain};"),
        ("src/testing/x.rs", "use crate::{command::Retry, store::Error};"),
        ("src/bin/annals/main.rs", "use crate::verbs::sweep; use annals::SqliteStore;"),
        ("src/domain/id.rs", "fn f() { Uuid::now_v7(); }"),
        ("src/lib.rs", "//! Front.\npub mod store;\npub use crate::store::Error;\npub use store::Other;"),
    ];
    for (path, source) in sound {
        assert_eq!(check_source(path, source), [""; 0], "{source:?} in {path}");
    }
}

#[test]
fn planted_oddities_of_files_are_caught() {
    let tree = tempfile::tempdir().unwrap();
    let put = |path: &str, text: &str| {
        let path = tree.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    put("src/lib.rs", "");
    put("src/store/mod.rs", "");
    assert_eq!(tree::oddities(tree.path()), [""; 0]);
    put("src/store.rs", "");
    put("src/store/util.rs", "");
    put("src/command/execute.rs", "");
    put("tests/it/helpers/mod.rs", "");
    put("examples/long/main.rs", &"\n".repeat(501));
    let found = tree::oddities(tree.path());
    for wrong in [
        "src/store.rs",
        "src/store/util.rs",
        "src/command: has no mod.rs",
        "tests/it/helpers",
        "examples/long/main.rs: 501 lines",
    ] {
        assert!(found.iter().any(|found| found.starts_with(wrong)), "{wrong} is not in {found:?}");
    }
    assert_eq!(found.len(), 5, "{found:?}");
    for (path, sql) in [("a.sql", "SELECT 1"), ("b.sql", "\n-- Late.\nSELECT 1"), ("c.sql", "-- todo\nSELECT 1")] {
        assert!(tree::check_first_line(path, sql).is_some(), "{sql:?} passed");
    }
    put("docs/PLACE.md", &format!("see {}ork/main/README.md", "/w"));
    assert_eq!(tree::strange_words(tree.path()).len(), 1);
}
