//! Exports that were broken off, and what they go on with.

use std::{fs, sync::Arc};

use annals::{
    EventStore as _, ManualClock, SqliteStore,
    store::{Auditable, TransferStore},
};

use super::data::{exported, fill};
use crate::cli::{
    place::{on_both, sqlite},
    program::{done_on, run_on},
};

on_both! { an_export_that_was_broken_off_goes_on_behind_its_last_whole_line }

async fn an_export_that_was_broken_off_goes_on_behind_its_last_whole_line<S: TransferStore + Auditable>(
    url: &str,
    store: S,
    clock: Arc<ManualClock>,
) {
    fill(&store, &clock, 1, 60).await;
    let whole = exported(url);
    let folder = tempfile::tempdir().unwrap();
    let (file, partial) = (folder.path().join("shop.jsonl"), folder.path().join("shop.jsonl.partial"));
    let path = file.to_str().unwrap();
    let random = &mut fastrand::Rng::with_seed(3);
    for round in 0..12 {
        let end = random.usize(..=whole.len());
        let mut left = whole.as_bytes()[..end].to_vec();
        if round % 3 == 0 {
            // What a power cut leaves.
            left.extend_from_slice(&[0; 100]);
        }
        fs::write(&partial, left).unwrap();
        done_on(url, &["export", "-q", "--force", "--output", path]);
        assert!(fs::read_to_string(&file).unwrap() == whole, "cut at {end}");
        assert!(!partial.exists());
    }
    // What was recorded since comes with it, unless it had come to the receipts.
    let cut = whole.find(r#"{"kind":"receipt""#).unwrap();
    fs::write(&partial, &whole[..cut - 10]).unwrap();
    fill(&store, &clock, 2, 10).await;
    let (code, _, err) = run_on(url, &["export", "--force", "--output", path]);
    assert!(code == 0 && err.contains("going on behind"), "{err}");
    assert_eq!(fs::read_to_string(&file).unwrap(), exported(url));
    // Of another database.
    let (other_url, other, other_clock, _other_folder) = sqlite().await;
    fill(&other, &other_clock, 7, 10).await;
    fs::write(&partial, &exported(&other_url)[..2_000]).unwrap();
    let (code, _, err) = run_on(url, &["export", "--force", "--output", path]);
    assert!(code == 1 && err.contains("is not of this database"), "{err}");
    fs::write(&partial, "something else\n").unwrap();
    let (code, _, err) = run_on(url, &["export", "--force", "--output", path]);
    assert!(code == 1 && err.contains("--fresh"), "{err}");
    done_on(url, &["export", "-q", "--force", "--fresh", "--output", path]);
    assert_eq!(fs::read_to_string(&file).unwrap(), exported(url));
}

#[tokio::test]
async fn a_gzipped_export_goes_on_behind_its_last_whole_member() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("many.db");
    let store = SqliteStore::open(&database).await.unwrap();
    let events = |number: u32| {
        let id = uuid::Uuid::from_u128(number.into());
        annals::Append::new("note", id)
            .events((0..500).map(|at| annals::NewEvent::new("opened", &at).unwrap()))
            .expected(annals::ExpectedVersion::New)
    };
    for answer in store.append((1..=45).map(events).collect()).await {
        answer.unwrap();
    }
    let url = format!("sqlite:{}", database.display());
    let (file, partial) = (folder.path().join("many.jsonl.gz"), folder.path().join("many.jsonl.gz.partial"));
    let path = file.to_str().unwrap();
    done_on(&url, &["export", "-q", "--output", path]);
    let whole = fs::read(&file).unwrap();
    let random = &mut fastrand::Rng::with_seed(3);
    for round in 0..8 {
        let end = random.usize(..=whole.len());
        let mut left = whole[..end].to_vec();
        if round % 2 == 0 && end > 1_000 {
            left[end - 500] ^= 4;
        }
        fs::write(&partial, left).unwrap();
        let (code, _, err) = run_on(&url, &["export", "--force", "--output", path]);
        assert_eq!(code, 0, "{err}");
        assert!(fs::read(&file).unwrap() == whole, "cut at {end}: {err}");
    }
    // Its second member was whole.
    fs::write(&partial, &whole[..whole.len() - 100]).unwrap();
    let (code, _, err) = run_on(&url, &["export", "--force", "--output", path]);
    assert!(code == 0 && err.contains("going on behind 19,999 events"), "{err}");
    assert!(fs::read(&file).unwrap() == whole);
}
