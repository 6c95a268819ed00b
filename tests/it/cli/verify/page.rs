//! A page of a file that cannot be read, and whoever reads the findings going away.

use std::{
    io::{PipeWriter, Seek as _, SeekFrom, Write as _},
    path::Path,
    process::Stdio,
};

use sqlx::Connection as _;

use super::ground::Ground;
use crate::{
    cli::program::{annals, ended, run_on},
    faults::raw,
};

const PAGE_BYTES: usize = 4_096;

/// The pages that a check has no need of: the migrations, of which the last number is in the index, and the fences.
async fn pages_apart(path: &Path) -> Vec<usize> {
    let mut file = raw(path).await;
    let roots = "SELECT rootpage FROM sqlite_schema WHERE name IN ('annals_migrations', 'annals_fences')";
    let roots: Vec<i64> = sqlx::query_scalar(roots).fetch_all(&mut file).await.unwrap();
    file.close().await.unwrap();
    assert_eq!(roots.len(), 2);
    // SQLite counts from 1.
    roots.into_iter().map(|root| usize::try_from(root).unwrap() - 1).collect()
}

/// The pages of a file whose first byte says that they hold rows of a table.
fn leaf_pages(path: &Path) -> Vec<usize> {
    let bytes = std::fs::read(path).unwrap();
    let pages = bytes.chunks(PAGE_BYTES).enumerate().skip(1);
    pages.filter(|(_, page)| page[0] == 0x0d && page[3..5] != [0, 0]).map(|(number, _)| number).collect()
}

fn overwrite(path: &Path, page: usize, bytes: &[u8]) {
    let mut file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
    file.seek(SeekFrom::Start((page * PAGE_BYTES) as u64)).unwrap();
    file.write_all(bytes).unwrap();
}

/// Every leaf page in turn: the schema's own cannot be opened, all others are named.
#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_is_overwritten_is_named_and_nothing_crashes() {
    let (ground, _shop) = Ground::sqlite().await;
    let plot = ground.plot("pages").await;
    let (path, whole) = (plot.path(), std::fs::read(plot.path()).unwrap());
    let (mut named, mut behind) = (0, 0);
    let apart = pages_apart(&path).await;
    for page in leaf_pages(&path).into_iter().filter(|page| !apart.contains(page)) {
        std::fs::write(&path, &whole).unwrap();
        overwrite(&path, page, &[0xff; 4_096]);
        let (code, out, err) = run_on(&plot.url, &["verify"]);
        match code {
            3 => {
                named += 1;
                assert!(out.contains("table-unreadable") && out.contains(" cannot be read on"), "page {page}: {out}");
                assert!(err.contains("not everything could be read"), "page {page}: {err}");
                // Where the first row of all cannot be read there is none to name.
                behind += usize::from(out.contains(" cannot be read on behind "));
            }
            // The schema itself: without it there is no database.
            1 => {
                let rows = &whole[page * PAGE_BYTES..][..PAGE_BYTES];
                assert!(rows.windows(7).any(|text| text == b"CREATE "), "page {page}: {err}");
                assert!(err.starts_with("annals: ") && out.is_empty(), "page {page}: {out}{err}");
            }
            _ => panic!("page {page}: exit code {code}: {out}{err}"),
        }
    }
    assert!(behind >= 6, "{behind} of {named}");
}

/// What a check says whose standard output goes to this: the exit code, and what it wrote to standard error.
fn checked_into(url: &str, format: &str, out: impl Into<Stdio>) -> (i32, String) {
    let mut command = annals(&["verify", "--database-url", url, "--format", format]);
    let (code, _, err) = ended(command.stdout(out).stderr(Stdio::piped()).spawn().unwrap().wait_with_output().unwrap());
    (code, err)
}

/// A pipe that nobody reads.
fn unread() -> PipeWriter {
    std::io::pipe().unwrap().1
}

/// What a shell does to `annals verify | head -1`: hundreds of findings, and one that fits into any buffer.
#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_has_seen_enough_ends_the_check() {
    let (ground, _shop) = Ground::sqlite().await;
    for (name, of) in [("all_wrong", ""), ("one_wrong", " WHERE position = 1")] {
        let plot = ground.plot(name).await;
        plot.plant(&format!("UPDATE annals_events SET checksum = checksum + 1{of}")).await;
        for format in ["table", "json", "jsonl"] {
            assert_eq!(checked_into(&plot.url, format, unread()), (3, String::new()), "{name} {format}");
        }
        // And none that cannot.
        let (code, out, _) = run_on(&plot.url, &["verify"]);
        let enough = if of.is_empty() { 301 } else { 2 };
        assert!(code == 3 && out.lines().count() >= enough, "{name}: {code}: {out}");
    }
    let whole = ground.plot("nothing_wrong").await;
    assert_eq!(checked_into(&whole.url, "jsonl", unread()), (0, String::new()));
}

/// A full disk is no reader that has seen enough: what was found is nowhere.
#[tokio::test(flavor = "multi_thread")]
#[cfg(target_os = "linux")]
async fn findings_that_cannot_be_written_fail_the_check() {
    let (ground, _shop) = Ground::sqlite().await;
    for (name, of) in [("all_lost", ""), ("one_lost", " WHERE position = 1")] {
        let plot = ground.plot(name).await;
        plot.plant(&format!("UPDATE annals_events SET checksum = checksum + 1{of}")).await;
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let (code, err) = checked_into(&plot.url, "table", full);
        assert!(code == 1 && err.contains("No space left on device"), "{name}: {code}: {err}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_changes_no_byte_of_the_file() {
    let (ground, _shop) = Ground::sqlite().await;
    let plot = ground.plot("unchanged").await;
    let before = std::fs::read(plot.path()).unwrap();
    let mut command = annals(&["verify", "--database-url", &plot.url]);
    assert_eq!(ended(command.output().unwrap()).0, 0);
    assert_eq!(std::fs::read(plot.path()).unwrap(), before);
}
