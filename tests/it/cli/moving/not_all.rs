//! Exports that do not have everything say so.

use std::{
    fs,
    io::{BufReader, Read as _},
    process::Stdio,
    sync::Arc,
};

use annals::{
    Append, EventStoreExt as _, ManualClock, NewEvent,
    store::{Auditable, TransferStore},
};
use sqlx::Connection as _;
use uuid::Uuid;

use super::data::{exported, fill};
use crate::cli::{
    place::{on_both, postgres},
    program::{annals, done_on, run_on},
};

on_both! { what_was_left_of_an_old_export_is_not_ended_as_if_it_were_new an_export_says_that_the_service_was_at_work }

async fn what_was_left_of_an_old_export_is_not_ended_as_if_it_were_new<S: TransferStore + Auditable>(
    url: &str,
    store: S,
    clock: Arc<ManualClock>,
) {
    fill(&store, &clock, 1, 40).await;
    let whole = exported(url);
    let folder = tempfile::tempdir().unwrap();
    let (file, partial) = (folder.path().join("shop.jsonl"), folder.path().join("shop.jsonl.partial"));
    let path = file.to_str().unwrap();
    let end_of_first = |kind: &str| {
        let begin = whole.find(&format!("{{\"kind\":\"{kind}\"")).unwrap();
        begin + whole[begin..].find('\n').unwrap() + 1
    };
    let cuts = [end_of_first("receipt"), whole.find(r#"{"kind":"end""#).unwrap(), whole.len()];
    // Nothing was recorded since: it is ended.
    for cut in cuts {
        fs::write(&partial, &whole[..cut]).unwrap();
        done_on(url, &["export", "-q", "--force", "--output", path]);
        assert!(fs::read_to_string(&file).unwrap() == whole, "cut at {cut}");
    }
    fill(&store, &clock, 2, 3).await;
    for cut in cuts {
        fs::write(&partial, &whole[..cut]).unwrap();
        let (code, out, err) = run_on(url, &["export", "--force", "--output", path]);
        assert_eq!((code, out.as_str()), (1, ""), "{err}");
        let words = format!("the log has gone on since {} was begun: --fresh begins anew", partial.display());
        assert!(err.contains(&words), "{err}");
        assert!(fs::read_to_string(&file).unwrap() == whole && fs::read_to_string(&partial).unwrap() == whole[..cut]);
    }
    done_on(url, &["export", "-q", "--force", "--fresh", "--output", path]);
    assert_eq!(fs::read_to_string(&file).unwrap(), exported(url));
    assert!(!partial.exists());
}

async fn an_export_says_that_the_service_was_at_work<S: TransferStore + Auditable>(
    url: &str,
    store: S,
    _clock: Arc<ManualClock>,
) {
    let note = |bytes: usize| NewEvent::new("noted", &"x".repeat(bytes)).unwrap();
    let many = Append::new("note", Uuid::from_u128(1)).events((0..20).map(|_| note(100_000)));
    store.append_one(many).await.unwrap();
    let mut child =
        annals(&["export"]).env("DATABASE_URL", url).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // It has begun, and waits for its reader in the midst of the events: a pipe holds less than they are.
    let mut out = BufReader::with_capacity(1, child.stdout.take().unwrap());
    out.read_exact(&mut [0]).unwrap();
    store.append_one(Append::new("note", Uuid::from_u128(2)).event(note(1))).await.unwrap();
    let mut rest = String::new();
    out.read_to_string(&mut rest).unwrap();
    let ended = child.wait_with_output().unwrap();
    let err = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(0), "{err}");
    assert_eq!(rest.matches(r#"{"kind":"event""#).count(), 20);
    assert!(
        err.contains("the service was at work meanwhile") && err.contains("stop the service and export again"),
        "{err}"
    );
    // Nobody was at work.
    let (code, _, err) = run_on(url, &["export"]);
    assert!(code == 0 && !err.contains("at work"), "{err}");
    let found = annals::transfer::Export::new(&store).run(&mut std::io::sink()).await.unwrap();
    assert_eq!((found.went_on, found.held_by, found.up_to), (false, None, store.head().await.unwrap()));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_names_whose_open_transaction_holds_its_end_back() {
    let (url, store, clock, database) = postgres().await;
    fill(&store, &clock, 1, 10).await;
    let whole = exported(&url);
    let events = whole.matches(r#"{"kind":"event""#).count();
    let mut holder = database.connection().await;
    let mut open = holder.begin().await.unwrap();
    sqlx::raw_sql(
        "SET LOCAL application_name = 'night-report';
         SELECT pg_advisory_xact_lock_shared('annals_positions'::regclass::oid::int, last_value::int) FROM annals_positions;
         SELECT nextval('annals_positions')",
    )
    .execute(&mut *open)
    .await
    .unwrap();
    // Behind what is held back, and so not to be read.
    fill(&store, &clock, 2, 5).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("shop.jsonl");
    let (code, out, err) = run_on(&url, &["export", "--format", "json", "--output", file.to_str().unwrap()]);
    assert_eq!(code, 3, "{err}");
    assert!(err.contains("(night-report)") && err.contains("goes up to position"), "{err}");
    let told: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&told["events"], &told["up_to"]), (&events.into(), &events.into()));
    assert!(told["held_by"].as_str().unwrap().contains("night-report"), "{told}");
    assert_eq!(fs::read_to_string(&file).unwrap().matches(r#"{"kind":"event""#).count(), events);
    open.rollback().await.unwrap();
    let (code, _, err) = run_on(&url, &["export", "--force", "--output", file.to_str().unwrap()]);
    assert!(code == 0 && !err.contains("night-report"), "{err}");
    assert!(fs::read_to_string(&file).unwrap().matches(r#"{"kind":"event""#).count() > events);
}
