//! Exports and imports that are killed at any moment.

use std::{fs, path::Path, time::Duration};

use super::data::{contents, exported, fill, imported, is_sound};
use crate::{
    campaign::sized,
    cli::{
        place::{on_both, sqlite},
        program::{annals, done_on},
    },
};
use annals::store::{Auditable, TransferStore};

on_both! { what_is_killed_and_begun_again_comes_to_the_same_end }

/// Runs the program and kills it after a while; whether it was still at work.
fn killed(url: &str, args: &[&str], after: Duration) -> bool {
    let mut child = annals(args).env("DATABASE_URL", url).spawn().unwrap();
    // Its end is what is waited for; that it has not come is the reason to kill it.
    let deadline = std::time::Instant::now() + after;
    while std::time::Instant::now() < deadline {
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        std::thread::park_timeout(Duration::from_millis(1));
    }
    child.kill().unwrap();
    !child.wait().unwrap().success()
}

async fn what_is_killed_and_begun_again_comes_to_the_same_end<S: TransferStore + Auditable>(
    url: &str,
    store: S,
    clock: std::sync::Arc<annals::ManualClock>,
) {
    let (from_url, from, _, _from_folder) = sqlite().await;
    fill(&from, &clock, 1, 1_500).await;
    let whole = exported(&from_url);
    let folder = tempfile::tempdir().unwrap();
    let rounds = sized(12);
    let (mut imports, mut exports) = (0, 0);
    let random = &mut fastrand::Rng::with_seed(11);
    let file = folder.path().join("shop.jsonl");
    fs::write(&file, &whole).unwrap();
    for _ in 0..rounds {
        let after = Duration::from_micros(random.u64(10_000..250_000));
        imports += u32::from(killed(url, &["import", "-q", file.to_str().unwrap()], after));
        is_sound(&store).await;
    }
    imported(url, &file);
    is_sound(&store).await;
    let (_, events) = contents(&store).await;
    assert_eq!(events, contents(&from).await.1);
    assert_eq!(exported(url), whole);
    for name in ["again.jsonl", "again.jsonl.gz"] {
        let file = folder.path().join(name);
        let args = ["export", "-q", "--force", "--output", file.to_str().unwrap()];
        for _ in 0..rounds {
            let after = Duration::from_micros(random.u64(5_000..150_000));
            exports += u32::from(killed(url, &args, after));
        }
        done_on(url, &args);
        assert!(lines(&file) == whole, "{name} is not the same");
    }
    eprintln!("{imports} of {rounds} imports and {exports} of {} exports were killed at work", 2 * rounds);
    assert!(imports > 0 && exports > 0);
}

fn lines(file: &Path) -> String {
    let bytes = fs::read(file).unwrap();
    if bytes.starts_with(&[0x1f, 0x8b]) {
        let mut text = String::new();
        std::io::Read::read_to_string(&mut flate2::read::MultiGzDecoder::new(&*bytes), &mut text).unwrap();
        return text;
    }
    String::from_utf8(bytes).unwrap()
}
