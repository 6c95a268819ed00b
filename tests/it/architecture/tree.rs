//! The files of the repository: their names, lengths, first lines and words.

use std::{fs, path::Path};

const MAX_LINES: usize = 500;

/// Names that say nothing about what is inside.
const EMPTY_NAMES: [&str; 9] = ["util", "utils", "common", "prelude", "helper", "helpers", "misc", "lib2", "shared"];

/// Folders whose files are roots of their own, so that they need no `mod.rs`.
const ROOTS: [&str; 6] = ["src", "tests", "tests/it", "examples", "src/bin", "benches"];

/// Folders that hold no text of the project: the last says how this checkout is tested.
const NOT_OURS: [&str; 4] = ["target", ".git", "proptest-regressions", ".ci"];

/// The files under some folders with an ending, by their paths from the root, in order.
pub fn files_under(root: &Path, folders: &[&str], ending: &str) -> Vec<(String, String)> {
    let mut files = Vec::new();
    for folder in folders {
        walk(&root.join(folder), &mut |path| {
            if path.extension().is_some_and(|found| found == ending) {
                files.push((relative(root, path), fs::read_to_string(path).expect("source is UTF-8")));
            }
        });
    }
    files.sort();
    files
}

fn walk(folder: &Path, visit: &mut impl FnMut(&Path)) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.expect("the folder can be read").path();
        if path.is_dir() {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
            if !name.is_some_and(|name| NOT_OURS.contains(&name.as_str())) {
                walk(&path, visit);
            }
        } else {
            visit(&path);
        }
    }
}

fn relative(root: &Path, path: &Path) -> String {
    path.strip_prefix(root).unwrap_or(path).to_string_lossy().replace('\\', "/")
}

/// What is odd about the names and lengths of source files.
pub fn oddities(root: &Path) -> Vec<String> {
    let mut wrong = Vec::new();
    let files = files_under(root, &["src", "tests", "examples", "benches"], "rs");
    for (path, source) in &files {
        let lines = source.lines().count();
        if lines > MAX_LINES {
            wrong.push(format!("{path}: {lines} lines, at most {MAX_LINES}: split it by its nouns"));
        }
        if let Some(name) = path.trim_end_matches(".rs").split('/').find(|part| EMPTY_NAMES.contains(part)) {
            wrong.push(format!("{path}: {name} says nothing about what is inside"));
        }
        if root.join(path.trim_end_matches(".rs")).is_dir() {
            wrong.push(format!("{path}: stands beside a folder of its name, which wants a mod.rs"));
        }
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let has_root = ["mod.rs", "main.rs", "lib.rs"].iter().any(|file| root.join(folder).join(file).is_file());
        let wrongs = format!("{folder}: has no mod.rs");
        if !has_root && !ROOTS.contains(&folder) && !wrong.contains(&wrongs) {
            wrong.push(wrongs);
        }
    }
    wrong
}

/// A statement's first line is a comment that says what it does.
pub fn check_first_line(path: &str, sql: &str) -> Option<String> {
    let first = sql.lines().next().unwrap_or_default();
    let sentence = first.strip_prefix("-- ").unwrap_or_default();
    let is_sentence = sentence.starts_with(|letter: char| letter.is_ascii_uppercase())
        && sentence.split_whitespace().count() >= 3
        && sql.lines().take_while(|line| line.starts_with("--")).any(|line| line.contains('.') || line.contains(':'));
    (!is_sentence).then(|| format!("{path}:1: the first line does not say what it does: {first:?}"))
}

/// Words that belong to the place where the code was written, not to the project. In pieces, or they would be here.
fn strange() -> Vec<String> {
    [
        ("/w", "ork/"),
        ("/t", "mp/"),
        ("/f", "arm/"),
        ("../sh", "ared/"),
        ("sh", "ared/design"),
        ("sh", "ared/spec"),
        ("sh", "ared/data"),
        ("iss", "ues show"),
        ("filed by a ses", "sion"),
        ("this ses", "sion"),
        ("clau", "de"),
        ("anthro", "pic"),
        ("chat", "gpt"),
        ("co-auth", "ored-by"),
        ("static.crat", "es.io"),
        ("index.crat", "es.io"),
        ("proxy.gol", "ang.org"),
    ]
    .map(|(one, two)| format!("{one}{two}"))
    .into()
}

/// Words in committed texts that speak of something else than the project.
pub fn strange_words(root: &Path) -> Vec<String> {
    let words = strange();
    let mut wrong = Vec::new();
    walk(root, &mut |path| {
        // What is no text has no words.
        let Ok(text) = fs::read_to_string(path) else { return };
        for (number, line) in text.lines().enumerate() {
            let lower = line.to_lowercase();
            for word in words.iter().filter(|word| lower.contains(word.as_str())) {
                wrong.push(format!("{}:{}: speaks of {word:?}", relative(root, path), number + 1));
            }
        }
    });
    wrong
}

/// Names the public items whose docs begin with a line of more than 80 characters.
pub fn long_first_lines(path: &str, source: &str) -> Vec<String> {
    // A program has no public items: what it shows to others is its `--help`.
    if path.starts_with("src/bin/") {
        return Vec::new();
    }
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    let is_doc = |line: &str| line.starts_with("///");
    let begins = |at: &usize| is_doc(lines[*at]) && (*at == 0 || !is_doc(lines[*at - 1]));
    let is_public = |at: &usize| {
        let item = lines[*at..].iter().find(|line| !is_doc(line) && !line.starts_with("#["));
        item.is_some_and(|item| item.starts_with("pub "))
    };
    let is_long = |at: &usize| lines[*at].trim_start_matches("/// ").chars().count() > 80;
    let long = (0..lines.len()).filter(begins).filter(is_public).filter(is_long);
    long.map(|at| format!("{path}:{}: the first line of the docs is longer than 80 characters", at + 1)).collect()
}
