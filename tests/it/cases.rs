//! The page that says what holds each case, against the numbers there are and the tests there are.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

/// The numbered cases of a store; numbers left out are free.
const STORE: &[u32] = &[
    1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 12, 15, 16, 18, 19, 20, 21, 22, 23, 25, 26, 27, 30, 32, 33, 34, 35, 36, 37, 38, 39,
    40, 42, 44, 45, 46, 47, 48, 49, 50, 51, 53, 55, 56, 57, 58, 59, 60, 61, 63, 65, 66, 67, 68, 70, 71, 72, 73, 75, 77,
    78, 79, 80, 81, 82, 84, 85, 86, 87, 88, 89, 90, 92, 93, 95, 96, 97, 99, 101, 102, 103,
];

/// The promises, which hold where no number does.
const PROMISES: u32 = 8;

/// The cases of idempotency over HTTP, by group; numbers left out are free.
const HTTP: &[(char, &[u32])] = &[
    ('A', &[1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 15, 16, 18, 19]),
    ('B', &[1, 2, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 17, 18, 19, 20, 22, 23]),
    ('C', &[1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13]),
    ('D', &[1, 2, 3, 4, 6, 7, 9, 10, 11, 12, 13, 14, 15, 16, 18]),
    ('E', &[1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 14, 15]),
    ('F', &[1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12]),
    ('G', &[1, 2, 3, 4, 5, 7, 8, 9]),
    ('H', &[1, 3, 4, 5, 6, 7, 9, 11, 12, 13]),
    ('I', &[1, 2, 3, 5, 6, 7, 9, 11, 12, 13, 14]),
    ('J', &[1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 14]),
    ('K', &[1, 2, 3, 4, 5, 7, 8, 10, 11]),
    ('L', &[1, 2, 3, 5, 6, 8, 9, 10]),
    ('M', &[1, 2, 3, 4, 6, 7, 9, 10, 11, 13, 14, 15, 17, 18, 19, 20]),
    ('N', &[1, 2, 3, 4]),
];

/// The cases that may be answered by a decision instead of a test.
const MAY_BE_DECLARED: &[&str] = &[
    "16", "18", "19", "27", "38", "42", "44", "47", "51", "60", "66", "70", "77", "79", "84", "85", "86", "87", "88",
    "89", "90", "92", "93", "95",
];

/// What is not built yet.
const ROOMS: &[&str] = &["erasure", "compaction", "tags"];

/// The functions of the sources.
#[derive(Debug, Default)]
struct Sources {
    /// All of them.
    functions: BTreeSet<String>,
    /// Those that are run as tests.
    tests: BTreeSet<String>,
}

impl Sources {
    /// Reads what is under the folders of a repository.
    fn of_repository(root: &Path) -> Self {
        let mut sources = Self::default();
        for folder in ["src", "tests"] {
            sources.read_folder(&root.join(folder));
        }
        sources
    }

    fn read_folder(&mut self, folder: &Path) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                self.read_folder(&path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                self.read_file(&fs::read_to_string(&path).unwrap());
            }
        }
    }

    /// A test is what has the attribute, or is in a list that tests are made of.
    fn read_file(&mut self, text: &str) {
        let (mut is_test, mut is_list) = (false, false);
        for line in text.lines().map(str::trim) {
            is_list = (is_list
                || matches!(
                    line,
                    "tests_of! {" | "on_both! {" | "on_every_backend! {" | "on_every_place! {" | "on_every_database! {"
                ))
                && !line.starts_with('}');
            if is_list && (line.starts_with("store_") || line.starts_with("http_")) {
                self.tests.insert(line.to_owned());
            }
            is_test |= line.starts_with("#[tokio::test") || line == "#[test]";
            if line.starts_with("#[ignore") {
                is_test = false;
            }
            if let Some(name) = function_name(line) {
                self.functions.insert(name.to_owned());
                if std::mem::take(&mut is_test) {
                    self.tests.insert(name.to_owned());
                }
            }
        }
    }
}

/// The name of the function that a line begins.
fn function_name(line: &str) -> Option<&str> {
    let before = line.find("fn ")?;
    let is_item = line[..before].split(' ').all(|word| matches!(word, "" | "pub" | "async" | "const" | "pub(super)"));
    let name = line[before + 3..].split(['(', '<']).next()?;
    (is_item && !name.is_empty()).then_some(name)
}

/// The case in the name of a numbered test: `21` of `store_021_…`, `P4` of `store_p4_…`, `C4` of `http_c04_…`.
fn case_of(name: &str) -> Option<String> {
    let (room, rest) = name.split_once('_')?;
    let (number, _) = rest.split_once('_')?;
    let digits = |text: &str| text.parse::<u32>().ok();
    match room {
        "store" if number.len() == 3 => digits(number).map(|number| number.to_string()),
        "store" => number.strip_prefix('p').and_then(digits).map(|number| format!("P{number}")),
        "http" => {
            let group = number.chars().next().filter(char::is_ascii_lowercase)?.to_ascii_uppercase();
            digits(&number[1..]).map(|number| format!("{group}{number}"))
        }
        _ => None,
    }
}

/// Every case there is.
fn cases() -> BTreeSet<String> {
    let store = STORE.iter().map(u32::to_string);
    let promises = (1..=PROMISES).map(|number| format!("P{number}"));
    let http = HTTP.iter().flat_map(|(group, numbers)| numbers.iter().map(move |number| format!("{group}{number}")));
    store.chain(promises).chain(http).collect()
}

/// What is wrong with the page, in words.
fn complaints(page: &str, sources: &Sources) -> Vec<String> {
    let mut found = Vec::new();
    let mut named: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let cases = cases();
    for line in page.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| Case ")) {
        let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [case, in_short, held_by] = cells[..] else {
            found.push(format!("not three cells: {line}"));
            continue;
        };
        if !cases.contains(case) {
            found.push(format!("{case} is no case"));
        }
        if in_short.is_empty() || in_short.len() > 100 {
            found.push(format!("{case} is to be said in 1 to 100 bytes"));
        }
        if named.contains_key(case) {
            found.push(format!("{case} is there twice"));
        }
        let tests = named.entry(case.to_owned()).or_default();
        held_by_complaints(case, held_by, sources, tests, &mut found);
    }
    for case in cases.iter().filter(|case| !named.contains_key(*case)) {
        found.push(format!("{case} is missing"));
    }
    let numbered = sources.functions.union(&sources.tests).filter_map(|name| Some((name, case_of(name)?)));
    for (name, case) in numbered {
        if !named.get(&case).is_some_and(|tests| tests.contains(name)) {
            found.push(format!("{case} does not name {name}"));
        }
        if !sources.tests.contains(name) {
            found.push(format!("{name} is written, but not run"));
        }
    }
    found
}

/// Looks at the last cell of a line: tests, a decision, a room, or several of them.
fn held_by_complaints(
    case: &str,
    held_by: &str,
    sources: &Sources,
    tests: &mut BTreeSet<String>,
    found: &mut Vec<String>,
) {
    let mut is_answered = false;
    for part in held_by.split("; ").filter(|part| !part.is_empty()) {
        if let Some(decision) = part.strip_prefix("declared: ") {
            if !MAY_BE_DECLARED.contains(&case) {
                found.push(format!("{case} may not be declared"));
            }
            match decision.strip_suffix(" ([why](DESIGN.md))") {
                Some(decision) if decision.len() >= 20 => {}
                Some(_) => found.push(format!("{case} does not say what was decided")),
                None => found.push(format!("{case} does not say where the decision is explained")),
            }
        } else if let Some(room) = part.strip_prefix("later: ") {
            is_answered = true;
            if !ROOMS.contains(&room) {
                found.push(format!("{case} waits for {room}, which is no room"));
            }
        } else {
            for name in part.split(", ") {
                let test = name.strip_prefix('`').and_then(|name| name.strip_suffix('`')).unwrap_or("");
                if !sources.tests.contains(test) {
                    found.push(format!("{case} names {name}, which is no test"));
                }
                tests.insert(test.to_owned());
                is_answered = true;
            }
        }
    }
    if !is_answered {
        found.push(format!("{case} has neither a test nor a room"));
    }
}

fn page() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/CASES.md")).unwrap()
}

fn repository() -> Sources {
    Sources::of_repository(Path::new(env!("CARGO_MANIFEST_DIR")))
}

#[test]
fn every_case_is_held_by_a_test_a_decision_or_a_room_to_come() {
    let found = complaints(&page(), &repository());
    assert!(found.is_empty(), "docs/CASES.md and the tests do not fit:\n{}", found.join("\n"));
}

#[test]
fn a_page_that_does_not_fit_is_noticed() {
    let (page, sources) = (page(), repository());
    let line = |case: &str| page.lines().find(|line| line.starts_with(&format!("| {case} |"))).unwrap().to_owned();
    let planted = [
        (page.replace(&line("21"), ""), "21 is missing"),
        (page.replace(&line("M20"), ""), "M20 is missing"),
        (format!("{page}{}\n", line("21")), "21 is there twice"),
        (format!("{page}| 7 | no such case | later: read |\n"), "7 is no case"),
        (page.replace(&line("3"), "| 3 | in short | `store_003_no_such_test` |"), "3 names `store_003_no_such_test`"),
        (page.replace(&line("3"), "| 3 | in short | later: http |"), "3 does not name store_003_"),
        (page.replace(&line("9"), &line("9").replace("two_processes", "three_processes")), "9 does not name"),
        (page.replace(&line("55"), "| 55 | in short | later: the attic |"), "55 waits for the attic"),
        (page.replace(&line("55"), "| 55 | in short | |"), "55 has neither a test nor a room"),
        (
            page.replace(
                &line("55"),
                "| 55 | in short | declared: because we have said so ([why](DESIGN.md)); later: read |",
            ),
            "55 may not be declared",
        ),
        (
            page.replace(&line("60"), "| 60 | in short | declared: as it has to be, of course; later: read |"),
            "60 does not say where",
        ),
        (
            page.replace(&line("60"), "| 60 | in short | declared: so ([why](DESIGN.md)); later: read |"),
            "60 does not say what",
        ),
    ];
    for (page, expected) in planted {
        let found = complaints(&page, &sources);
        assert!(found.iter().any(|complaint| complaint.starts_with(expected)), "expected {expected:?} in {found:?}");
    }
}

#[test]
fn a_numbered_test_that_is_not_run_or_not_named_is_noticed() {
    let mut sources = repository();
    sources.read_file("pub async fn store_001_that_nobody_lists(factory: &dyn Factory) {");
    sources.read_file("    #[tokio::test]\n    async fn http_c04_that_nobody_names() {");
    sources.read_file("#[test]\n#[ignore = \"for ever\"]\nfn store_p4_that_is_ignored() {");
    let found = complaints(&page(), &sources);
    for expected in [
        "1 does not name store_001_that_nobody_lists",
        "store_001_that_nobody_lists is written, but not run",
        "C4 does not name http_c04_that_nobody_names",
        "P4 does not name store_p4_that_is_ignored",
        "store_p4_that_is_ignored is written, but not run",
    ] {
        assert!(found.iter().any(|complaint| complaint == expected), "expected {expected:?} in {found:?}");
    }
}
